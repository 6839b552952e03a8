/** The keys of `broker:` and `store:`: where history is kept, and what plugins keep. */
import { Type as t } from "@sinclair/typebox";
import { choice } from "./kinds.ts";
import { file, keys } from "./spec-values.ts";

export const BrokerSpec = keys(
  "broker",
  {
    use: choice(["memory", "sqlite"], {
      noun: "a broker that this version has",
      default: "memory",
      description:
        "Keeps each channel's history. memory: it is gone when the server stops. sqlite: a file, where it outlives the server; plugins keep their values in it too.",
    }),
    path: t.Optional(file("The SQLite file, in a folder that is there. Default: tidewire.db.")),
    durability: t.Optional(
      choice(["full", "normal"], {
        noun: "a durability",
        description:
          "What a power cut may cost. full (the default): nothing that was acknowledged, for each commit is on the disk first. normal: the last moments' messages, though acknowledged, and then every channel starts a new epoch, so that clients are told of a gap; never the file; it is faster. With either, the end of the process, kill -9 included, costs nothing.",
      }),
    ),
  },
  { default: {}, description: "Where history is kept." },
);

export const StoreSpec = keys(
  "store",
  {
    use: choice(["sqlite", "memory"], {
      noun: "a store",
      default: "sqlite",
      description:
        "sqlite: a file, made when a plugin first keeps something. memory: gone when the server stops.",
    }),
    path: t.Optional(
      file("The SQLite file. Default: .tidewire/store.db, or the file of a sqlite broker."),
    ),
  },
  { default: {}, description: "Where plugins keep their small values (`ctx.store`)." },
);
