"""A fraud model: gradient-boosted trees on seeded synthetic payments, trained here and written as ONNX.

    fraud_model.py FOLDER       trains, and writes into FOLDER:
        matrix.onnx             one input, a row of numbers in the order of FEATURES: the manifest encodes
        columns.onnx            one input for each column: the model encodes its own category
        cases.json              records, and what scikit-learn's predict_proba says of each (both models)

The data are integers from a seeded generator and quarters of them, and the conversion leaves ZipMap out. So the same
versions of the libraries give the same bytes, wherever that was tried; who needs to be sure compares the digest.
"""

import json
import pathlib
import sys

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

FEATURES = ["amount", "hour", "country", "account_age_days", "card_present"]
COUNTRIES = ["DE", "FR", "NL", "PL"]
# What the manifest's records step does to a column.
AMOUNT_MEAN, AMOUNT_STD = 100.0, 80.0
MISSING_AGE = -1.0


def payments(count, seed):
    """Records as a caller sends them, and whether each was fraud."""
    random = np.random.default_rng(seed)
    amounts = random.integers(4, 2400, count) / 4
    hours = random.integers(0, 24, count)
    countries = random.integers(0, len(COUNTRIES), count)
    ages = random.integers(0, 3000, count)
    missing = random.integers(0, 10, count) == 0
    present = random.integers(0, 2, count) == 1
    noise = random.integers(0, 50, count) == 0
    records = [
        {
            "amount": float(amounts[at]),
            "hour": int(hours[at]),
            "country": COUNTRIES[countries[at]],
            "account_age_days": None if missing[at] else int(ages[at]),
            "card_present": bool(present[at]),
        }
        for at in range(count)
    ]
    risky = (amounts > 240) & (hours < 6) & ~present
    young = (ages < 60) & ~missing & (amounts > 400)
    fraud = (risky | young | ((countries == 3) & (amounts > 500))) ^ noise
    return records, fraud.astype(int)


def matrix(records):
    """The numbers that the manifest makes of records."""
    rows = [
        [
            (record["amount"] - AMOUNT_MEAN) / AMOUNT_STD,
            record["hour"],
            COUNTRIES.index(record["country"]),
            MISSING_AGE if record["account_age_days"] is None else record["account_age_days"],
            float(record["card_present"]),
        ]
        for record in records
    ]
    return np.array(rows, dtype=np.float32)


def table(records):
    """Columns as they are, the country as a text."""
    encoded = matrix(records).astype(object)
    encoded[:, 0] = [np.float32(record["amount"]) for record in records]
    encoded[:, 2] = [record["country"] for record in records]
    return encoded


def trees():
    return GradientBoostingClassifier(n_estimators=60, max_depth=3, random_state=7)


def train(folder):
    records, fraud = payments(4000, 7)
    plain = trees().fit(matrix(records), fraud)
    encoder = ColumnTransformer([("country", OneHotEncoder(categories=[COUNTRIES]), [2])], remainder="passthrough")
    whole = make_pipeline(encoder, trees()).fit(table(records), fraud)

    def write(name, model, inputs):
        options = {id(model): {"zipmap": False}}
        onnx = to_onnx(model, initial_types=inputs, options=options, target_opset=17)
        (folder / name).write_bytes(onnx.SerializeToString(deterministic=True))

    write("matrix.onnx", plain, [("features", FloatTensorType([None, len(FEATURES)]))])
    types = {"country": StringTensorType}
    write("columns.onnx", whole, [(name, types.get(name, FloatTensorType)([None, 1])) for name in FEATURES])

    cases, _ = payments(300, 11)
    (folder / "cases.json").write_text(
        json.dumps(
            {
                "records": cases,
                "matrix": plain.predict_proba(matrix(cases)).tolist(),
                "columns": whole.predict_proba(table(cases)).tolist(),
            }
        )
    )


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    train(target)
    print(json.dumps({"folder": str(target)}))
