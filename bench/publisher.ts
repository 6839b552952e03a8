/** Publishes numbered messages by HTTP POST over a few connections of its own. */
import type { Socket } from "bun";
import { formatMarker } from "./marker.ts";
import type { Endpoint } from "./spec.ts";

interface Connection {
  underWay: number;
  /** The end of what was read, in which the next answer's first line may have begun. */
  rest: string;
}

const ANSWER = /HTTP\/1\.1 (\d{3})/g;
const ANSWER_LENGTH = "HTTP/1.1 200".length;

export class Publisher {
  readonly #request: Buffer;
  readonly #markerAt: number;
  readonly #connections: Socket<Connection>[] = [];
  readonly #onSend: (sequence: number) => void;
  #turn = 0;
  /** Messages sent since the start; also the next sequence number. */
  sent = 0;
  answered = 0;
  errors = 0;
  /** The first refusal, for a person to read. */
  firstError: string | null = null;
  /** Called after each answer. */
  onAnswer: () => void = () => {};

  constructor(endpoint: Endpoint, payloadBytes: number, onSend: (sequence: number) => void) {
    const empty = `{"t":"${formatMarker(0)}","pad":""}`;
    const body = empty.replace(`""`, `"${"x".repeat(Math.max(0, payloadBytes - empty.length))}"`);
    const request =
      `POST ${endpoint.path} HTTP/1.1\r\nHost: 127.0.0.1:${endpoint.port}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    this.#request = Buffer.from(request, "latin1");
    this.#markerAt = request.indexOf("@@");
    this.#onSend = onSend;
  }

  async open(port: number, connections: number): Promise<void> {
    for (let i = this.#connections.length; i < connections; i++) {
      const socket = await Bun.connect<Connection>({
        hostname: "127.0.0.1",
        port,
        data: { underWay: 0, rest: "" },
        socket: {
          open: (opened) => void opened.setNoDelay(true),
          data: (source, chunk) => this.#read(source, chunk),
          close: () => void (this.firstError ??= "the server closed a publisher's connection"),
        },
      });
      this.#connections.push(socket);
    }
  }

  /** Publishes one message on the connection whose turn it is. */
  publish(): void {
    const { length } = this.#connections;
    this.#send(this.#connections[this.#turn++ % length]!);
  }

  /** Publishes on every connection that has fewer than `pipeline` under way, while `allowed`. */
  fill(pipeline: number, allowed: () => boolean): void {
    for (const connection of this.#connections) {
      while (connection.data.underWay < pipeline) {
        if (!allowed()) return;
        this.#send(connection);
      }
    }
  }

  #send(connection: Socket<Connection>): void {
    const sequence = this.sent++;
    this.#request.write(formatMarker(sequence), this.#markerAt, "latin1");
    this.#onSend(sequence);
    connection.data.underWay++;
    const written = connection.write(this.#request);
    if (written !== this.#request.length) throw new Error("a publish was not taken whole");
  }

  #read(connection: Socket<Connection>, chunk: Buffer): void {
    const text = connection.data.rest + chunk.toString("latin1");
    let end = 0;
    for (const match of text.matchAll(ANSWER)) {
      end = match.index + ANSWER_LENGTH;
      this.answered++;
      connection.data.underWay--;
      if (!match[1]!.startsWith("2")) {
        this.errors++;
        this.firstError ??= text.slice(match.index, match.index + 400);
      }
    }
    connection.data.rest = text.slice(Math.max(end, text.length - ANSWER_LENGTH + 1));
    this.onAnswer();
  }
}
