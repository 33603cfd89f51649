from __future__ import annotations

from typing import TYPE_CHECKING

from clary.store.objects.events import Events

if TYPE_CHECKING:
    from clary.store.database import Database


def test_an_event_that_is_forgotten_twice_takes_no_other_with_it(database: Database) -> None:
    """Ids are given again, so the second call meets another event of the same id."""
    events = Events(database)
    events.add(("twice", "notify a", "k"), {"n": 1}, 1.0)
    first = events.pending("twice", "notify a", 10)
    events.done(first)
    events.add(("twice", "notify a", "k"), {"n": 2}, 2.0)
    events.done(first)
    assert [each.event for each in events.pending("twice", "notify a", 10)] == [{"n": 2}]


def test_the_oldest_and_the_surplus_are_forgotten(database: Database) -> None:
    events = Events(database)
    for number in range(10):
        events.add(("much", "notify a", "k"), {"n": number}, float(number))
    events.add(("much", "notify b", "k"), {"n": 0}, 0.0)
    assert events.limit("much", "notify a", 3.0, 4) == 6
    assert [each.event["n"] for each in events.pending("much", "notify a", 10)] == [6, 7, 8, 9]
    assert events.targets("much", "notify ") == ["notify a", "notify b"]
