// Stands in for the package `mongodb`, of which nothing can be downloaded here: the same calls, made by pymongo.
import { execFileSync } from "node:child_process";

function typed(key, value) {
  return this[key] instanceof Date ? { $date: value } : value;
}

export class MongoClient {
  static async connect(uri) {
    return Object.assign(new MongoClient(), { uri });
  }

  db(database) {
    const call = (collection, method) => async (argument) => {
      const input = JSON.stringify({ uri: this.uri, database, collection, method, argument }, typed);
      return JSON.parse(execFileSync(process.env.PYTHON, ["-m", "tests.support.node_mongo"], { input }));
    };
    return {
      collection: (name) => ({ insertOne: call(name, "insertOne"), findOne: call(name, "findOne") }),
    };
  }

  async close() {}
}
