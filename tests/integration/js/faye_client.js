// node faye_client.js SCENARIO '{"subscriber": URL, "publisher": URL, "transport": NAME, …}'
// Runs one scenario with official faye clients and prints one line of JSON: what was seen.
// Nothing is judged here, that is the caller's part. An order of messages is proved complete by
// a last message behind it ("end"), never by waiting.
'use strict';

const crypto = require('crypto');
const { Peer, goodbye, outcome } = require('./clients');
const { Proxy } = require('./proxy');

const END = 'end';

function peers(options) {
  const transport = options.transport;
  return {
    subscriber: new Peer(options.subscriber, transport),
    publisher: new Peer(options.publisher, options.publisherTransport || transport)
  };
}

async function ended(peer, channel) {
  await peer.when(() => peer.data(channel).includes(END));
}

// `size` messages at a time: a group is one HTTP request; the next waits for the reply, because
// parallel requests have no order.
async function publishInOrder(publisher, channel, items, size) {
  await publisher.connected();  // Faye's client shuffles what is published before
  for (let i = 0; i < items.length; i += size) {
    const group = items.slice(i, i + size);
    await Promise.all(group.map((item) => publisher.client.publish(channel, item)));
  }
}

// Up to four bytes a character in UTF-8, and what JSON, JSONP and HTML must escape.
function unicodePayload(bytes) {
  const text = 'añ漢字🎉\u2028\u2029\u0000"\\/\u00e9e\u0301</script>\n';
  const repeat = Math.ceil(bytes / Buffer.byteLength(text));
  return { 'clé ☃': text.repeat(repeat), nested: [{ '': null }, [], {}, 1.5, true] };
}

function digest(value) {
  return crypto.createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

const SCENARIOS = {
  // One subscriber, numbered messages, published in batches of `group`.
  async numbered(options) {
    const { subscriber, publisher } = peers(options);
    await subscriber.subscribe('/numbers');
    const numbers = Array.from({ length: options.count }, (_, i) => i);
    await publishInOrder(publisher, '/numbers', numbers, options.group);
    await publisher.client.publish('/numbers', END);
    await ended(subscriber, '/numbers');
    return {
      received: subscriber.data('/numbers'),
      ids: new Set(subscriber.messages.map((m) => m.id)).size,
      transport: subscriber.transport,
      publisherTransport: publisher.transport
    };
  },

  // Each kind of subscription in a client of its own.
  async wildcards(options) {
    const { publisher } = peers(options);
    const seen = {};
    const subscribers = {};
    for (const pattern of ['/w/a', '/w/*', '/w/**', '/**']) {
      const peer = subscribers[pattern] = new Peer(options.subscriber, options.transport);
      await peer.subscribe(pattern, '/w/end');
    }
    for (const channel of ['/w/a', '/w/b', '/w/a/deep', '/other/a', '/w/end']) {
      await publisher.client.publish(channel, channel === '/w/end' ? END : channel);
    }
    for (const [pattern, peer] of Object.entries(subscribers)) {
      await ended(peer, '/w/end');
      seen[pattern] = peer.messages.map((m) => m.channel);
    }
    return { seen, transport: subscribers['/w/a'].transport };
  },

  // Two clients, each with subscriptions that overlap; copies are counted on the wire.
  async overlapping(options) {
    const { subscriber, publisher } = peers(options);
    const second = new Peer(options.publisher, options.transport);
    const channels = ['/o/a', '/o/*', '/o/**', '/**'];
    for (const peer of [subscriber, second]) await peer.subscribe(...channels);
    for (const data of [1, 2, 3, END]) await publisher.client.publish('/o/a', data);
    for (const peer of [subscriber, second]) await ended(peer, '/o/a');
    return {
      copies: [subscriber.data('/o/a'), second.data('/o/a')],
      transport: subscriber.transport
    };
  },

  async unicode(options) {
    const { subscriber, publisher } = peers(options);
    const payload = unicodePayload(options.bytes);
    await subscriber.subscribe('/unicode');
    await publisher.client.publish('/unicode', payload);
    await publisher.client.publish('/unicode', END);
    await ended(subscriber, '/unicode');
    return {
      bytes: Buffer.byteLength(JSON.stringify(payload)),
      sent: digest(payload),
      received: subscriber.data('/unicode').slice(0, -1).map(digest),
      transport: subscriber.transport
    };
  },

  // The message after the unsubscription must not come, the one on another channel must.
  async unsubscribe(options) {
    const { subscriber, publisher } = peers(options);
    await subscriber.subscribe('/still');
    const subscription = subscriber.client.subscribe('/gone', () => {});
    await subscription;
    await publisher.client.publish('/gone', 'before');
    await subscriber.when(() => subscriber.data('/gone').length > 0);
    const confirmed = subscriber.reply('/meta/unsubscribe');
    subscription.cancel();
    const reply = await confirmed;
    await publisher.client.publish('/gone', 'after');
    await publisher.client.publish('/still', END);
    await ended(subscriber, '/still');
    return {
      received: subscriber.data('/gone'),
      successful: reply.successful,
      transport: subscriber.transport
    };
  },

  async refusals(options) {
    const { subscriber, publisher } = peers(options);
    const subscribed = {};
    const published = {};
    for (const channel of ['/meta/connect', '/meta/other', '/service/x', '/not a channel',
                           'no-slash', '/a/**/b', '/ok/**']) {
      subscribed[channel] = await outcome(subscriber.client.subscribe(channel, () => {}));
    }
    for (const channel of ['/meta/other', '/a/*', '/not a channel', '/service/x', '/ok/x']) {
      published[channel] = await outcome(publisher.client.publish(channel, END));
    }
    published['no data'] = await outcome(publisher.client.publish('/ok/x', undefined));
    await ended(subscriber, '/ok/x');
    return {
      subscribed,
      published,
      received: subscriber.messages.map((m) => m.channel),
      transport: subscriber.transport
    };
  },

  // What is no JSON, behind the client's back on its own socket. Its next reply comes behind the
  // answer to that.
  async nonsense(options) {
    const { subscriber, publisher } = peers(options);
    const odd = [];
    const incoming = (message, callback) => {
      if (!message.channel) odd.push(message);
      callback(message);
    };
    subscriber.client.addExtension({ incoming });
    await subscriber.subscribe('/n');
    await subscriber.client.publish('/n', 'before');
    const [transport] = subscriber.client._dispatcher.transports.websocket.values();
    transport._socket.send('{');
    await subscriber.client.publish('/n', 'behind');
    await publisher.client.publish('/n', END);
    await ended(subscriber, '/n');
    return {
      odd,
      received: subscriber.data('/n'),
      clientIds: subscriber.clientIds.length,
      transport: subscriber.transport
    };
  },

  // A client that says goodbye gets no more; a new one in its place does.
  async goodbye(options) {
    const { subscriber, publisher } = peers(options);
    await subscriber.subscribe('/g');
    await publisher.client.publish('/g', 'first');
    await subscriber.when(() => subscriber.data('/g').length > 0);
    await subscriber.client.disconnect();
    const successor = new Peer(options.subscriber, options.transport);
    await successor.subscribe('/g');
    await publisher.client.publish('/g', END);
    await ended(successor, '/g');
    return {
      received: [subscriber.data('/g'), successor.data('/g')],
      transport: successor.transport
    };
  },

  // The subscriber's network fails and comes back; its session goes on under the same id.
  async outage(options) {
    const proxy = new Proxy(options.subscriber);
    const { subscriber, publisher } = peers({ ...options, subscriber: await proxy.listen() });
    await subscriber.subscribe('/r');
    await publisher.client.publish('/r', 'before');
    await subscriber.when(() => subscriber.data('/r').includes('before'));
    const down = new Promise((resolve) => subscriber.client.on('transport:down', resolve));
    proxy.cut();
    await down;
    if (options.meanwhile) await publisher.client.publish('/r', 'meanwhile');
    const up = new Promise((resolve) => subscriber.client.on('transport:up', resolve));
    proxy.restore();
    await up;
    await publisher.client.publish('/r', END);
    await ended(subscriber, '/r');
    const unique = new Map(subscriber.messages.map((m) => [m.id || m.data, m.data]));
    return {
      received: [...unique.values()],
      clientIds: new Set(subscriber.clientIds).size,
      transport: subscriber.transport
    };
  },

  // The server drops the client (here: somebody else's goodbye in its name); the client is told
  // to shake hands again, subscribes anew by itself and goes on under another id.
  async dropped(options) {
    const { subscriber, publisher } = peers(options);
    await subscriber.subscribe('/d');
    await publisher.client.publish('/d', 'before');
    await subscriber.when(() => subscriber.data('/d').includes('before'));
    const farewell = { channel: '/meta/disconnect', clientId: subscriber.clientIds[0], id: '1' };
    const answer = await fetch(options.publisher, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(farewell)
    });
    const [reply] = await answer.json();
    const again = subscriber.reply('/meta/subscribe');
    const subscribed = (await again).successful;
    await publisher.client.publish('/d', END);
    await ended(subscriber, '/d');
    return {
      goodbye: reply.successful,
      subscribed,
      received: subscriber.data('/d'),
      clientIds: new Set(subscriber.clientIds).size,
      transport: subscriber.transport
    };
  }
};

async function main() {
  const [scenario, options] = process.argv.slice(2);
  const result = await SCENARIOS[scenario](JSON.parse(options));
  await goodbye();
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0));
}

main();
