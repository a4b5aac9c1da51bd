/** The store in memory keeps to the laws of stores. */
import { ActorStore } from "@troupe/server"
import * as StoreLaws from "@troupe/testing/StoreLaws"
import { Effect } from "effect"

StoreLaws.register("ActorStore.layerMemory", { make: Effect.succeed(ActorStore.layerMemory), reopens: false })
