from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.store.records import AlreadyExists, Conflict, Order, Query, Record, Records

if TYPE_CHECKING:
    from clary.store.database import Database

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACCOUNT, REGION = "123456789012", "eu-west-1"


def record(name: str, **changes: object) -> Record:
    made = Record("model", ACCOUNT, REGION, name, f"arn:{name}", {"ModelName": name}, NOW, NOW)
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name real fields


@pytest.fixture
def records(database: Database) -> Records:
    return Records(database)


def test_what_was_created_is_found_by_name_and_arn(records: Records) -> None:
    made = records.create(record("a", tags={"k": "v"}, observed={"Start": NOW}, due=NOW))
    assert made.id
    found = records.get("model", ACCOUNT, REGION, "a")
    assert found is not None
    assert (found.spec, found.tags, found.due, found.created) == ({"ModelName": "a"}, {"k": "v"}, NOW, NOW)
    assert found.observed == {"Start": NOW.isoformat()}
    assert records.by_arn("arn:a") == found
    assert records.get("model", ACCOUNT, "us-east-1", "a") is None


def test_a_name_is_taken_once(records: Records) -> None:
    records.create(record("a"))
    with pytest.raises(AlreadyExists):
        records.create(record("a"))
    records.create(record("a", region="us-east-1"))


def test_an_update_of_a_stale_record_is_refused(records: Records) -> None:
    first = records.create(record("a"))
    second = records.update(replace(first, status="new"))
    with pytest.raises(Conflict):
        records.update(replace(first, status="old"))
    assert records.update(replace(second, status="newer")).version == 3


def test_edit_changes_the_record_as_it_is_now(records: Records) -> None:
    stale = records.create(record("a"))
    records.update(replace(stale, tags={"kept": "yes"}))
    edited = records.edit(stale, lambda current: replace(current, status="done"))
    assert (edited.tags, edited.status) == ({"kept": "yes"}, "done")
    records.delete(edited)
    with pytest.raises(Conflict):
        records.edit(stale, lambda current: current)


def test_a_renamed_record_is_the_same_one(records: Records) -> None:
    first = records.create(record("a"))
    renamed = records.rename(replace(first, status="new"), "b", "arn:b")
    assert (renamed.id, records.by_arn("arn:b")) == (first.id, renamed)
    assert records.by_arn("arn:a") is None
    with pytest.raises(Conflict):
        records.rename(first, "c", "arn:c")
    records.create(record("a"))
    with pytest.raises(AlreadyExists):
        records.rename(renamed, "a", "arn:a")
    assert records.rename(renamed, "b", "arn:moved/b").arn == "arn:moved/b"
    assert records.list(Query("model", ACCOUNT, REGION, name_folded="B"))[0].name == "b"


def test_a_lease_is_held_by_one(records: Records) -> None:
    records.create(record("due", due=NOW))
    records.create(record("later", due=NOW + timedelta(seconds=9)))
    records.create(record("never"))
    (leased,) = records.lease(NOW, 60, 10)
    assert leased.name == "due"
    assert records.lease(NOW, 60, 10) == []
    after = records.lease(NOW + timedelta(seconds=61), 60, 10)
    assert {again.name for again in after} == {"due", "later"}
    with pytest.raises(Conflict):
        records.apply(replace(leased, due=None))


def test_apply_gives_the_lease_back(records: Records) -> None:
    records.create(record("a", due=NOW))
    (leased,) = records.lease(NOW, 60, 10)
    records.apply(replace(leased, status="next", due=NOW + timedelta(seconds=1)))
    assert records.lease(NOW, 60, 10) == []
    (again,) = records.lease(NOW + timedelta(seconds=1), 60, 10)
    assert again.status == "next"


def test_news_during_a_step_makes_the_record_due_at_once(records: Records) -> None:
    records.create(record("a", due=NOW))
    (leased,) = records.lease(NOW, 60, 10)
    records.touch("model", ACCOUNT, REGION, "a", NOW)
    records.apply(replace(leased, due=NOW + timedelta(hours=1)))
    assert [again.name for again in records.lease(NOW, 60, 10)] == ["a"]


def test_a_finished_record_is_not_woken(records: Records) -> None:
    records.create(record("a", due=NOW))
    (leased,) = records.lease(NOW, 60, 10)
    records.touch("model", ACCOUNT, REGION, "a", NOW)
    records.apply(replace(leased, due=None))
    records.touch("model", ACCOUNT, REGION, "a", NOW)
    assert records.next_due() is None


def test_a_change_by_a_handler_during_a_step_wins(records: Records) -> None:
    records.create(record("a", due=NOW))
    (leased,) = records.lease(NOW, 60, 10)
    records.edit(leased, lambda current: replace(current, status="Stopping"))
    with pytest.raises(Conflict):
        records.apply(replace(leased, status="Completed", due=None))
    records.release(leased, NOW)
    (again,) = records.lease(NOW, 60, 10)
    assert again.status == "Stopping"


def test_the_revision_grows_with_every_write_to_the_kind(records: Records) -> None:
    seen = [records.revision("model", "role")]
    made = records.create(record("a"))
    seen.append(records.revision("model", "role"))
    made = records.update(replace(made, status="x"))
    seen.append(records.revision("model", "role"))
    records.delete(made)
    seen.append(records.revision("model", "role"))
    assert seen == sorted(set(seen))
    assert records.revision("role") == 0


def test_a_wait_ends_with_a_hint(records: Records) -> None:
    seen = records.wait(-1, 0)
    assert records.wait(seen, 0) == seen
    records.create(record("a", due=NOW))
    assert records.wait(seen, None) == seen + 1


def test_filters(records: Records) -> None:
    for index, name in enumerate(("alpha", "beta", "alphabet")):
        moment = NOW + timedelta(minutes=index)
        records.create(record(name, created=moment, modified=moment, status="odd" if index % 2 else "even"))

    def names(**filters: object) -> list[str]:
        query = Query("model", ACCOUNT, REGION, **filters)  # type: ignore[arg-type]  # the tests name real fields
        return [found.name for found in records.list(query)]

    assert names(name_contains="pha") == ["alpha", "alphabet"]
    assert names(name_prefix="b") == ["beta"]
    assert names(statuses=("odd",)) == ["beta"]
    assert names(created_after=NOW) == ["beta", "alphabet"]
    assert names(created_before=NOW + timedelta(minutes=1)) == ["alpha"]
    assert names(where=(("ModelName", "beta"),)) == ["beta"]
    assert names(order_by="name", descending=True) == ["beta", "alphabet", "alpha"]


@settings(max_examples=25, deadline=None)
@given(
    names=st.lists(st.text("abc", min_size=1, max_size=4), unique=True, max_size=12),
    order=st.sampled_from(["name", "created", "modified", "status"]),
    descending=st.booleans(),
    page=st.integers(1, 5),
)
def test_pages_joined_are_the_whole(
    shared_database: Database, names: list[str], order: Order, descending: bool, page: int
) -> None:
    records = Records(shared_database)
    records.clear()
    for index, name in enumerate(names):
        moment = NOW + timedelta(seconds=index % 3)
        records.create(record(name, created=moment, modified=moment, status="xy"[index % 2]))
    query = Query("model", ACCOUNT, REGION, order_by=order, descending=descending, limit=page)
    whole = records.all(query)
    joined: list[Record] = []
    while part := records.list(replace(query, after=joined[-1].cursor(order) if joined else None)):
        joined += part
    assert joined == whole
    assert len(whole) == len(names)


def test_flags_and_what_was_seen_select_and_numbers_add_up(records: Records) -> None:
    def job(name: str, count: int | None, spot: bool | None, pool: str, **changes: Any) -> None:
        resources = {"InstanceType": "ml.m5.large", **({} if count is None else {"InstanceCount": count})}
        spec = {"ResourceConfig": resources, **({} if spot is None else {"Spot": spot})}
        records.create(record(name, spec=spec, observed={"Pool": {"Status": pool}}, **changes))

    job("a", 2, False, "InUse", due=NOW)
    job("b", None, None, "Available", due=NOW)
    job("c", 4, True, "Available")
    query = Query("model", ACCOUNT, REGION, where=(("ResourceConfig.InstanceType", "ml.m5.large"),))

    def total(**changes: Any) -> int:
        chosen = replace(query, where=(*query.where, *changes.pop("where", ())), **changes)
        return records.total(chosen, "ResourceConfig.InstanceCount")

    assert total() == 7
    assert total(where=(("Spot", True),)) == 4
    assert total(where=(("Spot", False),)) == 3
    assert total(seen=(("Pool.Status", "Available"),)) == 5
    assert total(seen=(("Pool.Status", "Available"),), waiting=True) == 1
    assert total(where=(("Spot", "x"),)) == 0


def test_what_is_written_together_counts_together_or_not_at_all(records: Records) -> None:
    with pytest.raises(ZeroDivisionError), records.together():
        records.create(record("a"))
        raise ZeroDivisionError
    assert records.get("model", ACCOUNT, REGION, "a") is None
    with records.together():
        records.create(record("a"))
        records.create(record("b"))
    assert len(records.all(Query("model", ACCOUNT, REGION))) == 2
