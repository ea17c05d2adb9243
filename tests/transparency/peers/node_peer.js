// The client and the server of grpc-js, as scripts tell them: see script.py. It reads one JSON object a line and answers
// each with one line: {"id", "port"} for a server that runs, {"id", "outcome"} for a call that is over.
"use strict";
const grpc = require(process.env.GRPC_JS);
const METHOD = "/transparency.Peer/Call";
const LARGEST = 64 * 2 ** 20;
const OPTIONS = {
  "grpc.max_receive_message_length": LARGEST,
  "grpc.max_send_message_length": LARGEST,
  "grpc.enable_retries": 0,
};
const bytes = (value) => value;
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

function metadataOf(pairs) {
  const metadata = new grpc.Metadata();
  for (const [key, value] of pairs) {
    const text = typeof value === "number" ? "v".repeat(value) : value;
    metadata.add(key, key.endsWith("-bin") ? Buffer.from(text) : text);
  }
  return metadata;
}

function pairsOf(metadata) {
  const found = [];
  for (const key of Object.keys(metadata ? metadata.getMap() : {})) {
    for (const value of metadata.get(key)) found.push([key, Buffer.isBuffer(value) ? value.toString("hex") : value]);
  }
  const text = (pair) => pair.join("\0");
  return found.sort((a, b) => (text(a) < text(b) ? -1 : 1));
}

function shown(message) {
  const text = message.toString();
  return !/^m*$/.test(text) ? text : `${message.length} bytes`;
}

// Messages one by one, from a stream that tells of them by events.
class Inbox {
  constructor(stream) {
    this.messages = [];
    this.over = false;
    this.wake = () => {};
    this.stream = stream;
    const ended = () => { this.over = true; this.wake(); };
    stream.on("data", (message) => { this.messages.push(message); stream.pause(); this.wake(); });
    for (const event of ["end", "status", "cancelled", "error"]) stream.on(event, ended);
    stream.pause();
  }

  async next() {
    while (this.messages.length === 0 && !this.over) {
      const woken = new Promise((resolve) => { this.wake = resolve; });
      this.stream.resume();
      await woken;
    }
    return this.messages.shift();
  }
}

async function writeAll(stream, size, count) {
  const over = new Promise((resolve) => {
    for (const event of ["close", "status", "cancelled"]) stream.once(event, resolve);
  });
  for (let number = 0; number < count; number += 1) {
    if (stream.destroyed || stream.writableEnded) return;
    await Promise.race([over, new Promise((resolve) => stream.write(Buffer.alloc(size, "m"), () => resolve()))]);
  }
}

async function serve(call) {
  const steps = JSON.parse(call.metadata.get("script")[0]);
  const inbox = new Inbox(call);
  let end = [0, "", []];
  for (const [name, ...given] of steps) {
    if (call.cancelled) return;
    if (name === "initial") call.sendMetadata(metadataOf(given[0]));
    else if (name === "read") for (let number = 0; number < given[0]; number += 1) await inbox.next();
    else if (name === "read-all") while ((await inbox.next()) !== undefined);
    else if (name === "send") await writeAll(call, given[0], given[1]);
    else if (name === "sleep") await sleep(given[0]);
    else if (name === "tell") call.write(Buffer.from(JSON.stringify(pairsOf(call.metadata))));
    else if (name === "stay") await new Promise((resolve) => call.once("cancelled", resolve));
    else if (name === "end") end = given;
  }
  const [status, message, trailing] = end;
  if (status === 0) call.end(metadataOf(trailing));
  else call.emit("error", { code: status, details: message, metadata: metadataOf(trailing) });
}

async function startServer() {
  const server = new grpc.Server(OPTIONS);
  const definition = {
    path: METHOD, requestStream: true, responseStream: true, requestSerialize: bytes, requestDeserialize: bytes,
    responseSerialize: bytes, responseDeserialize: bytes,
  };
  server.addService({ Call: definition }, { Call: (call) => { serve(call).catch(() => call.destroy()); } });
  const credentials = grpc.ServerCredentials.createInsecure();
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port)));
  });
}

async function outcome({ port, steps, metadata, deadline, options }) {
  const own = { ...OPTIONS, "grpc.use_local_subchannel_pool": 1, ...options };
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), own);
  const until = deadline === null ? {} : { deadline: Date.now() + deadline * 1000 };
  const call = client.makeBidiStreamRequest(METHOD, bytes, bytes, metadataOf(metadata), until);
  let initial = null;
  call.on("metadata", (found) => { initial = found; });
  const ended = new Promise((resolve) => call.on("status", resolve));
  const inbox = new Inbox(call);
  const received = [];
  for (const [name, ...given] of steps) {
    if (name === "send") await writeAll(call, given[0], given[1]);
    else if (name === "half-close") call.end();
    else if (name === "sleep") await sleep(given[0]);
    else if (name === "cancel") call.cancel();
    else {
      while (name === "read-all" || received.length < given[0]) {
        const message = await inbox.next();
        if (message === undefined) break;
        received.push(shown(message));
      }
    }
  }
  const status = await ended;
  client.close();
  return {
    // After the comma stands how long it took, and where.
    status: status.code, message: status.details.replace(/(Deadline exceeded after).*/s, "$1"), initial: pairsOf(initial), trailing: pairsOf(status.metadata), received,
  };
}

require("readline").createInterface({ input: process.stdin }).on("line", async (line) => {
  const asked = JSON.parse(line);
  const answer = asked.steps ? { outcome: await outcome(asked) } : { port: await startServer() };
  process.stdout.write(`${JSON.stringify({ id: asked.id, ...answer })}\n`);
}).on("close", () => process.exit(0));
