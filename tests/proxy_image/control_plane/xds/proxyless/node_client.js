// A gRPC client of Node: the same lines in and out as python_client.py. Its packages are in $NODE_GRPC.
const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");
const load = createRequire(process.env.NODE_GRPC + "/");
const grpc = load("@grpc/grpc-js");
const xds = load("@grpc/grpc-js-xds");

xds.register();
const clients = new Map();

if (process.env.ADMIN) {
  // What `grpcdebug` asks.
  const server = new grpc.Server();
  grpc.addAdminServicesToServer(server);
  server.bindAsync(process.env.ADMIN, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
}

function client(asked) {
  const options = asked.bootstrap ? { "grpc.TEST_ONLY_DO_NOT_USE_IN_PROD.xds_bootstrap_config": asked.bootstrap } : {};
  if (!clients.has(asked.target))
    clients.set(asked.target, new grpc.Client(asked.target, grpc.credentials.createInsecure(), options));
  return clients.get(asked.target);
}

function call(asked) {
  const metadata = new grpc.Metadata({ waitForReady: asked.wait_for_ready });
  for (const [key, value] of asked.metadata) metadata.add(key, key.endsWith("-bin") ? Buffer.from(value) : value);
  const started = process.hrtime.bigint();
  const options = asked.timeout === null ? {} : { deadline: Date.now() + asked.timeout * 1000 };
  return new Promise((resolve) => {
    const bytes = (each) => each;
    client(asked).makeUnaryRequest(asked.method, bytes, bytes, Buffer.alloc(0), metadata, options,
      (error, answer) => resolve([
        error ? `${grpc.status[error.code]}: ${error.details}` : answer.toString(),
        Number(process.hrtime.bigint() - started) / 1e9,
      ]));
  });
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function all(asked) {
  const begin = async (number) => {
    if (asked.apart) await pause(number * asked.apart);
    return call(asked);
  };
  if (asked.parallel) return Promise.all(Array.from({ length: asked.count }, (_, number) => begin(number)));
  const results = [];
  for (let made = 0; made < asked.count; made++) {
    results.push(await call(asked));
    if (asked.apart) await pause(asked.apart);
  }
  return results;
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  const answers = {}, seconds = [];
  const asked = JSON.parse(line);
  if (asked.close) {
    for (const each of clients.values()) each.close();
    clients.clear();
  }
  for (const [answer, took] of await all(asked)) {
    answers[answer] = (answers[answer] ?? 0) + 1;
    seconds.push(took);
  }
  console.log(JSON.stringify({ answers, seconds }));
}).on("close", () => process.exit(0));
