// Official faye clients with a forced transport: the Node build for WebSocket and long-polling,
// the browser build inside jsdom for what only browsers speak.
'use strict';

const fs = require('fs');
const EventEmitter = require('events');
const faye = require('faye');

const RETRY = 0.5;  // s between attempts to reach the server
const FOREIGN_ORIGIN = 'http://elsewhere.example/';

// What has to be switched off so that a client ends up on a transport. Handshakes still go by
// long-polling or callback-polling: Faye's client knows no other way.
const DISABLED = {
  'websocket': [],
  'long-polling': ['websocket'],
  'eventsource': ['websocket'],
  'cross-origin-long-polling': ['websocket', 'eventsource'],
  'callback-polling': ['websocket', 'eventsource', 'cross-origin-long-polling']
};
const SAME_ORIGIN = ['eventsource'];
const BROWSER_ONLY = ['eventsource', 'cross-origin-long-polling', 'callback-polling'];

function browserFaye(url, transport) {
  const { JSDOM, VirtualConsole } = require('jsdom');
  const page = new JSDOM('<!DOCTYPE html><head></head>', {
    url: SAME_ORIGIN.includes(transport) ? url : FOREIGN_ORIGIN,
    runScripts: 'dangerously',
    resources: 'usable',
    virtualConsole: new VirtualConsole()  // silent: outages are part of the tests
  });
  page.window.EventSource = require('eventsource');
  page.window.eval(fs.readFileSync(require.resolve('faye/client/faye-browser.js'), 'utf8'));
  return page.window.Faye;
}

// A client and what crossed the wire, seen by an extension before Faye's own dispatching.
class Peer extends EventEmitter {
  constructor(url, transport) {
    super();
    Peer.all.push(this);
    const library = BROWSER_ONLY.includes(transport) ? browserFaye(url, transport) : faye;
    this.messages = [];
    this.connectionTypes = [];
    this.clientIds = [];
    this.client = new library.Client(url, { retry: RETRY });
    for (const type of DISABLED[transport]) this.client.disable(type);
    this.client.addExtension({
      incoming: (message, callback) => { this.incoming(message); callback(message); },
      outgoing: (message, callback) => { this.outgoing(message); callback(message); }
    });
    this.client.on('transport:down', () => this.emit('change'));
  }

  incoming(message) {
    if (message.successful === undefined) this.messages.push(message);
    if (message.channel === '/meta/handshake' && message.successful) {
      this.clientIds.push(message.clientId);
    }
    this.emit(message.channel, message);
    setImmediate(() => this.emit('change'));
  }

  outgoing(message) {
    if (message.channel === '/meta/connect') this.connectionTypes.push(message.connectionType);
  }

  data(channel) {
    return this.messages.filter((m) => m.channel === channel).map((m) => m.data);
  }

  // The transport of the latest /meta/connect.
  get transport() { return this.connectionTypes[this.connectionTypes.length - 1]; }

  when(condition) {
    return new Promise((resolve) => {
      const check = () => {
        if (!condition()) return;
        this.removeListener('change', check);
        resolve();
      };
      this.on('change', check);
      check();
    });
  }

  connected() { return new Promise((resolve) => this.client.connect(resolve)); }

  reply(channel) { return new Promise((resolve) => this.once(channel, resolve)); }

  subscribe(...channels) {
    const none = () => {};
    return Promise.all(channels.map((channel) => this.client.subscribe(channel, none)));
  }
}

Peer.all = [];

// Clients that just vanish stay in the server for a while; Faye's own trips over them.
function goodbye() { return Promise.all(Peer.all.map((peer) => peer.client.disconnect())); }

async function outcome(promise) {
  try {
    await promise;
    return 'succeeded';
  } catch (error) {
    return [error.code, error.params, error.message];
  }
}

module.exports = { Peer, goodbye, outcome };
