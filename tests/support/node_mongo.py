"""Does for `mongodb.mjs` what MongoDB's own driver does: ``python -m tests.support.node_mongo``, a call as JSON on stdin."""

import sys

from bson import json_util
from pymongo import MongoClient


def main() -> None:
    """Make the call; its result is printed as JSON."""
    call = json_util.loads(sys.stdin.read(), json_options=json_util.RELAXED_JSON_OPTIONS)
    with MongoClient(call["uri"]) as client:
        collection = client[call["database"]][call["collection"]]
        if call["method"] == "insertOne":
            collection.insert_one(call["argument"])
            print(json_util.dumps(None))  # noqa: T201
        else:
            print(json_util.dumps(collection.find_one(call["argument"])))  # noqa: T201


if __name__ == "__main__":
    main()
