/**
 * A socket of `ws` with the four handlers that links use. Its own, which are those of browsers, make an object with a class
 * of its own for each message, and keep 800 bytes for each socket.
 */
import type { Socket } from "@troupe/contract/WebSocketLink"
import { WebSocket } from "ws"
import { socketOptions } from "./socketOptions.ts"

export class ClientSocket implements Socket {
  onopen: Socket["onopen"] = null
  onmessage: Socket["onmessage"] = null
  onerror: Socket["onerror"] = null
  onclose: Socket["onclose"] = null
  private readonly socket: WebSocket

  constructor(url: string) {
    this.socket = new WebSocket(url, socketOptions)
      .on("open", () => this.onopen?.(undefined))
      .on("message", (data: Buffer, isBinary) => this.onmessage?.({ data: isBinary ? data : data.toString("utf8") }))
      .on("error", (error) => this.onerror?.(error))
      .on("close", (code, reason) => this.onclose?.({ code, reason: reason.toString("utf8") }))
  }

  get readyState(): number {
    return this.socket.readyState
  }

  get bufferedAmount(): number {
    return this.socket.bufferedAmount
  }

  send(data: string): void {
    this.socket.send(data)
  }

  close(code?: number, reason?: string): void {
    this.socket.close(code, reason)
  }
}
