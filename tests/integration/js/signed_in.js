// node signed_in.js '{"url": URL, "cookie": TEXT, "token": TEXT or null, "subscriptions": [NAME, …]}'
// An official faye client that signs in; prints what became of its handshakes and subscriptions.
'use strict';

const { Peer, goodbye, outcome } = require('./clients');

// Faye's client calls its handshake again a while after a refusal; what it does then has been done
// when the call returns.
function secondAttempt(client) {
  return new Promise((resolve) => {
    const handshake = client.handshake;
    let attempts = 0;
    client.handshake = function (...args) {
      handshake.apply(client, args);
      if (++attempts === 2) resolve([]);
    };
  });
}

async function subscribed(client, names) {
  const outcomes = [];
  for (const name of names) outcomes.push([name, await outcome(client.subscribe(name, () => {}))]);
  return outcomes;
}

async function main() {
  const options = JSON.parse(process.argv[2]);
  const peer = new Peer(options.url, 'websocket');
  const handshakes = [];
  const sent = [];
  peer.client.setHeader('Cookie', options.cookie);
  peer.client.addExtension({
    outgoing(message, callback) {
      if (message.channel === '/meta/handshake') {
        sent.push(message);
        if (options.token) message.ext = { token: options.token };
      }
      callback(message);
    }
  });
  peer.on('/meta/handshake', (reply) => handshakes.push(reply.successful));
  const refused = secondAttempt(peer.client);
  const outcomes = await Promise.race([refused, subscribed(peer.client, options.subscriptions)]);
  await goodbye();
  const result = { handshakes, sent: sent.length, subscribed: Object.fromEntries(outcomes) };
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0));
}

main();
