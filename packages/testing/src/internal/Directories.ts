/** Directories that outlive the host behind them. */
import type { ActorHost } from "@troupe/contract/ActorHost"
import type { Definition } from "@troupe/contract/Definition"
import type { Directory } from "@troupe/contract/Directory"
import * as Codec from "@troupe/contract/protocol/Codec"
import * as RpcObject from "@troupe/contract/protocol/RpcObject"
import * as Effect from "effect/Effect"
import type { Life } from "./Life.ts"

interface Running {
  readonly life: Life | undefined
  readonly host: ActorHost["Type"] | undefined
}

type Method = (payload: unknown, options: RpcObject.CallOptions | undefined) => Effect.Effect<unknown, unknown>

/** As in @effect/rpc, a tag `a.b` is the method `b` of the property `a`. */
const methodOf = (rpcs: Record<string, any>, tag: string): Method => {
  const dot = tag.indexOf(".")
  return dot === -1 ? rpcs[tag] : rpcs[tag.slice(0, dot)][tag.slice(dot + 1)]
}

/** The actors of a contract in whichever life is the present one when a call is made. */
export const make = <D extends Definition>(
  contract: { readonly contract: string; readonly definition: D },
  process: Running
): Directory<D> => {
  const codecs = Codec.ofContract(contract).internal
  return {
    get: (key) =>
      RpcObject.make(codecs, ({ rpc }, payload, options) =>
        Effect.suspend(() => {
          const { host, life } = process
          if (!host || !life) return Effect.dieMessage("the host is not running")
          return life.enter(methodOf(host.directory(contract).get(key), rpc._tag)(payload, options))
        })) as ReturnType<Directory<D>["get"]>
  }
}
