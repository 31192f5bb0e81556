// node cometd_client.js '{"subscriber": URL, "publisher": URL, "transport": NAME, "ack": true, …}'
// CometD's official client subscribes, another one publishes `count` numbers, one every `pause`
// milliseconds; prints one line of JSON: what was received, which numbers were acknowledged to the
// publisher, how the connects of the subscriber went, and what it told of as unsuccessful. Prints
// "half" to stderr when half of them are published; then `nonsense`, if it is given, goes out on all
// sockets.
'use strict';

const { pathToFileURL } = require('url');

const options = JSON.parse(process.argv[2]);

// The packages are ES modules, for which Node does not look in NODE_PATH.
const load = (name) => import(pathToFileURL(require.resolve(name)));

function client({ CometD, AckExtension }, url, transport) {
  const cometd = new CometD();
  if (transport !== 'websocket') cometd.unregisterTransport('websocket');
  if (transport !== 'long-polling') cometd.unregisterTransport('long-polling');
  cometd.configure({ url, logLevel: 'error', backoffIncrement: 100, maxBackoff: 500 });
  if (options.ack) cometd.registerExtension('ack', new AckExtension());
  return cometd;
}

const connected = (cometd) => new Promise((resolve, reject) =>
  cometd.handshake((reply) => reply.successful ? resolve() : reject(new Error(reply.error))));
const subscribed = (cometd, channel, listener) => new Promise((resolve) =>
  cometd.subscribe(channel, listener, resolve));
const published = (cometd, channel, data) => new Promise((resolve) =>
  cometd.publish(channel, data, (reply) => resolve(reply.successful)));

// Every WebSocket that is opened; the client keeps its own to itself.
function sockets() {
  const opened = [];
  window.WebSocket = class extends window.WebSocket {
    constructor(...args) { super(...args); opened.push(this); }
  };
  return opened;
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function main() {
  const library = await load('cometd');
  (await load('cometd-nodejs-client')).adapt();
  const opened = sockets();
  const subscriber = client(library, options.subscriber, options.transport);
  const publisher = client(library, options.publisher, 'long-polling');
  const received = [], acknowledged = [], ids = [], batches = [];
  const unsuccessful = [];
  let handshakes = 0, failures = 0;
  subscriber.addListener('/meta/connect', (reply) => {
    if (!reply.successful) failures += 1;
    else if (reply.ext) batches.push(reply.ext.ack);
  });
  subscriber.addListener('/meta/handshake', (reply) => { handshakes += reply.successful; });
  subscriber.addListener('/meta/unsuccessful', (message) => { unsuccessful.push(message); });
  await connected(subscriber);
  await subscribed(subscriber, '/numbers', (message) => {
    received.push(message.data);
    ids.push(message.id);
  });
  await connected(publisher);
  for (let i = 0; i < options.count; i++) {
    if (i === options.count / 2) {
      console.error('half');
      if (options.nonsense) for (const socket of opened) socket.send(options.nonsense);
    }
    if (await published(publisher, '/numbers', i)) acknowledged.push(i);
    if (options.pause) await sleep(options.pause);
  }
  const missing = () => acknowledged.some((number) => !received.includes(number));
  for (let i = 0; i < 300 && missing(); i++) await sleep(50);
  await sleep(300);  // for what comes twice
  console.log(JSON.stringify(
    { received, acknowledged, ids, batches, handshakes, failures, unsuccessful }));
  process.exit(0);
}

main().catch((error) => { console.error(error); process.exit(1); });
