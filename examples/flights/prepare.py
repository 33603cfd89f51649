"""Feature engineering: runs as a processing job, joins flights with weather and planes and splits by time.

Only what is known when the flight leaves the gate becomes a feature; rates by carrier, origin and destination are
learned from the training months alone.
"""

import argparse
from pathlib import Path

import pandas as pd

ROOT = Path("/opt/ml/processing")
LATE_MINUTES = 15
SMOOTHING = 200

FEATURES = [
    "dep_delay",
    "hour",
    "weekday",
    "sched_arr_time",
    "distance",
    "carrier_late",
    "origin_late",
    "dest_late",
    "age",
    "seats",
    "visib",
    "precip",
    "dew_point_spread",
]


def read(folder: Path) -> pd.DataFrame:
    flights = pd.read_csv(folder / "flights.csv.zip").dropna(subset=["dep_delay", "arr_delay"])
    weather = pd.read_csv(folder / "weather.csv").drop(columns=["time_hour"])
    planes = pd.read_csv(folder / "planes.csv")[["tailnum", "year", "seats"]].rename(columns={"year": "built"})
    rows = flights.merge(weather, on=["year", "month", "day", "hour", "origin"], how="left")
    return rows.merge(planes, on="tailnum", how="left")


def late_rates(train: pd.DataFrame, column: str) -> pd.Series:
    """Share of late flights by category, drawn towards the mean where there are few flights."""
    groups = train.groupby(column)["late"].agg(["sum", "count"])
    return (groups["sum"] + SMOOTHING * train["late"].mean()) / (groups["count"] + SMOOTHING)


def engineer(rows: pd.DataFrame, train_until: int) -> pd.DataFrame:
    rows = rows.copy()
    rows["late"] = (rows["arr_delay"] > LATE_MINUTES).astype(int)
    train = rows[rows["month"] <= train_until]
    for column in ("carrier", "origin", "dest"):
        rows[f"{column}_late"] = rows[column].map(late_rates(train, column)).fillna(train["late"].mean())
    rows["weekday"] = pd.to_datetime(rows[["year", "month", "day"]]).dt.dayofweek
    rows["age"] = (2013 - rows["built"]).fillna(train["built"].rsub(2013).median())
    rows["seats"] = rows["seats"].fillna(train["seats"].median())
    rows["visib"] = rows["visib"].fillna(10.0)
    rows["precip"] = rows["precip"].fillna(0.0)
    # Fog and low cloud come when the air is nearly saturated.
    rows["dew_point_spread"] = rows["temp"] - rows["dewp"]
    rows["dew_point_spread"] = rows["dew_point_spread"].fillna((train["temp"] - train["dewp"]).median())
    return rows


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--train-until", type=int, default=5, help="last month of the training data")
    options = arguments.parse_args()

    rows = engineer(read(ROOT / "input"), options.train_until)
    month = rows["month"]
    parts = {
        "train": rows[month <= options.train_until],
        "validation": rows[month == options.train_until + 1],
        "live": rows[month > options.train_until + 1],
    }
    for name, part in parts.items():
        folder = ROOT / name
        folder.mkdir(parents=True, exist_ok=True)
        columns = ["late", *FEATURES] if name != "live" else ["month", "late", *FEATURES]
        part[columns].round(4).to_csv(folder / f"{name}.csv", header=name == "live", index=False)
        print(f"{name}: {len(part):,} flights, {part['late'].mean():.1%} more than {LATE_MINUTES} minutes late")
    baseline = ROOT / "baseline"
    baseline.mkdir(parents=True, exist_ok=True)
    parts["train"][FEATURES].round(4).to_csv(baseline / "baseline.csv", index=False)


if __name__ == "__main__":
    main()
