// Prints the ends of logins as they happen: an outside subscriber in JavaScript, with the NATS project's own client.
//
//   npm install @nats-io/transport-node
//   NATS_URL=… NATS_USER=… NATS_PASSWORD=… node subscriber.mjs 'evt.auth.login.>'
//
// With a durable credential the subject is _INBOX.<user>.events; each event is acknowledged there once it is dealt with.
import { connect } from "@nats-io/transport-node";

// { number: value } of a protobuf message: numbers as BigInt, texts and messages as bytes.
function fields(message) {
  const found = {};
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(message[at++]);
      value |= (byte & 127n) << shift;
      if (byte < 128n) return value;
    }
  };
  while (at < message.length) {
    const tag = Number(varint());
    if ((tag & 7) === 0) {
      found[tag >> 3] = varint();
    } else if ((tag & 7) === 2) {
      const size = Number(varint());
      found[tag >> 3] = message.subarray(at, (at += size));
    } else {
      at += (tag & 7) === 1 ? 8 : 4;
    }
  }
  return found;
}

const { NATS_URL, NATS_USER, NATS_PASSWORD } = process.env;
const nc = await connect({ servers: NATS_URL ?? "nats://127.0.0.1:4222", user: NATS_USER, pass: NATS_PASSWORD });
const subscription = nc.subscribe(process.argv[2] ?? "evt.auth.login.>");
await nc.flush();
console.log("listening");
for await (const message of subscription) {
  const type = message.headers?.get("ce-type");
  if (type === "atrium.auth.login.ended") {
    const event = fields(message.data); // message LoginEnded of auth.proto
    const login = new TextDecoder().decode(event[1]);
    console.log(type, message.headers.get("ce-id"), "login", login, "of user", String(event[2]));
  }
  // Acknowledged; other reply subjects are the publisher's own affair.
  if (message.reply?.startsWith("$JS.ACK.")) message.respond();
}
