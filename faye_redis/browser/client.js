/* The browser client of faye_redis: `Faye.Client` as npm's faye 1.4 has it, as far as pages use it.

   What it knows of its session (client id, acknowledged batch, subscriptions, requests without an
   answer) outlives the transport: when a transport is lost another one is opened, and everything
   that was not answered goes out again with the same message id, by which the server takes a
   publish that comes twice for one. Messages are acknowledged (CometD's `ext.ack`): the server
   sends what was not acknowledged again, and a copy is recognised by its id.

   Sources: Bayeux 1.0, https://docs.cometd.org/current/reference/#_concepts_bayeux_protocol */

import { Extensible } from './extensible.js';
import {
  CONNECT, DISCONNECT, FayeError, HANDSHAKE, REFUSALS, SUBSCRIBE, Seen, Subscription, UNSUBSCRIBE,
  guarded, largest, matching
} from './messages.js';
import { Choice, TOO_BIG, TRANSPORTS } from './transports.js';

export { FayeError as Error };
export const VERSION = '0.1.0';

const MIN_PAUSE = 1000;  // ms after a failed handshake or connect, if the server advises less
const OPEN_TIMEOUT = 10000;  // ms for a WebSocket to open

export class Client extends Extensible {
  #endpoint;
  #options;
  #advice;
  #headers = {};
  #choice = new Choice();

  #transport = null;
  #type;
  #ready = false;  // the transport takes messages
  #heard = false;  // the transport has brought some
  #retrying = 0;  // timer until another transport is opened
  #failures = 0;  // since a connect succeeded
  #up;  // as last told to listeners

  #clientId = null;
  #acknowledged = null;  // the last batch that came; null: the server does not count
  #ended = null;  // why the client is not to connect
  #leaving = false;
  #waiting = [];  // who waits for a session
  #lastId = 0;
  #requests = new Map();  // by message id: those without an answer, in order
  #subscriptions = new Map();  // by channel: sets of Subscription
  #seen = new Seen();

  constructor(endpoint = '/bayeux', options = {}) {
    super();
    this.#endpoint = String(endpoint);
    this.#options = { timeout: 60, retry: 5, interval: 0, endpoints: {}, ...options };
    const { interval, timeout } = this.#options;
    this.#advice = { reconnect: 'retry', interval: 1000 * interval, timeout: 1000 * timeout };
    globalThis.addEventListener?.('pagehide', (event) => event.persisted || this.#depart());
  }

  connect(callback, context) {
    this.#ended = null;
    if (!this.#transport && !this.#retrying) this.#open();
    const connected = this.#clientId ? Promise.resolve() : new Promise(
      (resolve, reject) => this.#waiting.push({ resolve, reject }));
    connected.then(() => callback && guarded(callback, context), () => {});
    return connected;
  }

  disconnect() {
    const goodbye = new FayeError(null, [], 'The client has disconnected');
    return new Promise((resolve) => {
      const done = () => {
        this.#subscriptions.clear();
        this.#end(goodbye);
        resolve();
      };
      this.#ended = goodbye;
      if (!this.#clientId) return done();
      this.#leaving = true;
      this.#request({ channel: DISCONNECT }, done);
    });
  }

  subscribe(channel, callback, context) {
    if (Array.isArray(channel)) return channel.map((one) => this.subscribe(one, callback, context));
    const subscription = new Subscription(this, channel, callback, context);
    if (!this.#started(subscription.reject)) return subscription;
    const known = this.#subscriptions.get(channel);
    this.#subscriptions.set(channel, (known || new Set()).add(subscription));
    if (known) known.first.then(subscription.resolve, subscription.reject);
    else this.#subscribe(channel);
    return subscription;
  }

  unsubscribe(channel, subscription) {
    if (Array.isArray(channel)) {
      return channel.forEach((one) => this.unsubscribe(one, subscription));
    }
    const listening = this.#subscriptions.get(channel);
    if (!listening || (subscription && !listening.delete(subscription))) return;
    if (subscription && listening.size) return;
    this.#subscriptions.delete(channel);
    if (!this.#ended) this.#request({ channel: UNSUBSCRIBE, subscription: channel });
  }

  /* options: `attempts`, how often it is sent at most; `deadline`, seconds after which it is not
     sent again. */
  publish(channel, data, options = {}) {
    return new Promise((resolve, reject) => {
      if (!this.#started(reject)) return;
      const done = (reply) =>
        reply.successful ? resolve(reply) : reject(FayeError.parse(reply.error));
      this.#request({ channel, data }, done, options);
    });
  }

  disable(feature) { this.#choice.disable(feature); }

  setHeader(name, value) { this.#headers[name] = value; }

  get clientId() { return this.#clientId; }

  get connectionType() { return this.#type; }

  // The transport

  #open() {
    this.#retrying = 0;
    this.#type = this.#choice.best;
    if (!this.#type) return this.#end(new FayeError(301, [], 'Every transport is disabled'));
    const endpoint = this.#options.endpoints[this.#type] || this.#endpoint;
    const url = new URL(endpoint, globalThis.location?.href).href;
    const events = {
      opened: () => this.#opened(),
      received: (messages) => [].concat(messages).forEach((one) => this.#receive(one)),
      lost: (code) => this.#lost(code)
    };
    try {
      this.#transport = new TRANSPORTS[this.#type](url, this.#headers, events);
      this.#after(OPEN_TIMEOUT, () => this.#ready || this.#lost());
    } catch {
      this.#lost();  // a page served by https may open no ws://
    }
  }

  #opened() {
    this.#ready = true;
    if (this.#clientId) this.#resume();
    else this.#handshake();
  }

  #drop() {
    this.#transport?.close();
    this.#transport = null;
    this.#ready = this.#heard = false;
    for (const [id, request] of this.#requests) {
      clearTimeout(request.timer);
      if (request.transient) this.#requests.delete(id);
    }
  }

  /* Open another transport after a while: soon after the first failure, then less often; and at a
     time of its own, since many may have lost theirs at once. */
  #lost(code) {
    const fallsBack = this.#choice.lost(this.#type, this.#heard);
    if (code === TOO_BIG) this.#refuseLargest();
    this.#drop();
    this.#tell(false);
    const longest = 1000 * this.#options.retry * Math.min(1, 2 ** this.#failures++ / 8);
    this.#retrying = setTimeout(() => this.#open(), fallsBack ? 0 : longest * Math.random());
  }

  /* The server closes the connection on a message over `max_message_size`, without saying which. */
  #refuseLargest() {
    const sent = [...this.#requests.values()].filter((one) => one.sent && !one.transient);
    if (sent.length) this.#answer(largest(sent), REFUSALS.tooBig);
  }

  #after(milliseconds, step) {
    const transport = this.#transport;
    const run = () => { if (transport === this.#transport) step(); };
    if (milliseconds) setTimeout(run, milliseconds);
    else queueMicrotask(run);  // a hidden page's timers are slow
  }

  #tell(up) {
    if (this.#up === up) return;
    this.#up = up;
    this.trigger(up ? 'transport:up' : 'transport:down');
  }

  // The session

  #handshake() {
    this.#clientId = this.#acknowledged = null;
    const message = {
      channel: HANDSHAKE, version: '1.0', supportedConnectionTypes: this.#choice.types };
    this.#request(message, (reply) => {
      if (reply.successful) return this.#begin(reply);
      this.#after(Math.max(this.#advice.interval, MIN_PAUSE), () => this.#handshake());
    });
  }

  #begin(reply) {
    this.#clientId = reply.clientId;
    if (reply.ext?.ack) this.#acknowledged = -1;
    this.#resubscribe();
    this.#resume();
    this.#waiting.splice(0).forEach((one) => one.resolve());
  }

  /* A new session knows no subscriptions. They go before everything else. */
  #resubscribe() {
    const waiting = [...this.#requests];
    const asked = waiting.map(([, { message }]) => message.subscription);
    this.#requests.clear();
    for (const channel of this.#subscriptions.keys()) {
      if (!asked.includes(channel)) this.#subscribe(channel);
    }
    for (const [id, request] of waiting) this.#requests.set(id, request);
  }

  /* Say again what was not answered. */
  #resume() {
    for (const request of this.#requests.values()) this.#send(request);
    if (!this.#leaving) this.#connect({ timeout: 0 });  // answered at once: does it work?
  }

  #connect(advice) {
    const message = { channel: CONNECT, connectionType: this.#type };
    this.#request(advice ? { ...message, advice } : message, (reply) => this.#connected(reply));
  }

  #connected(reply) {
    if (this.#leaving) return;
    const { reconnect, interval } = this.#advice;
    if (reply.successful) {
      this.#failures = 0;
      for (const request of this.#requests.values()) if (request.unknown) this.#send(request);
      return this.#after(interval, () => this.#connect());
    }
    const again = reconnect === 'handshake' ? () => this.#handshake() : () => this.#connect();
    this.#after(Math.max(interval, MIN_PAUSE), again);
  }

  /* For good, unless the page connects again. */
  #end(error) {
    this.#ended = error;
    clearTimeout(this.#retrying);
    this.#retrying = 0;
    this.#drop();
    this.#clientId = null;
    this.#leaving = false;
    this.#up = undefined;
    this.#advice.reconnect = 'retry';
    const reply = { successful: false, error };
    for (const request of [...this.#requests.values()]) this.#answer(request, reply);
    this.#waiting.splice(0).forEach((one) => one.reject(error));
  }

  /* The page goes. */
  #depart() {
    if (!this.#ready || !this.#clientId || this.#choice.isDisabled('autodisconnect')) return;
    const message = { channel: DISCONNECT, clientId: this.#clientId };
    this.pipeThroughExtensions('outgoing', message, (out) => {
      if (out) this.#transport.leave ? this.#transport.leave(out) : this.#transport.send(out);
    });
  }

  #started(reject) {
    if (this.#ended) reject(this.#ended);
    else if (!this.#clientId) this.connect().catch(() => {});
    return !this.#ended;
  }

  #subscribe(channel) {
    const listening = this.#subscriptions.get(channel);
    listening.first ||= [...listening][0];
    this.#request({ channel: SUBSCRIBE, subscription: channel }, (reply) => {
      if (reply.successful) return listening.first.resolve();
      const error = FayeError.parse(reply.error);
      listening.first.reject(error);
      if (this.#subscriptions.get(channel) === listening) this.#subscriptions.delete(channel);
      this.trigger('refused', error);
    });
  }

  // Messages

  /* Send a message, when there is a session, and call `done` with its reply, however many
     transports that takes. */
  #request(message, done = () => {}, { attempts = Infinity, deadline = Infinity } = {}) {
    const id = message.id = (++this.#lastId).toString(36);
    const transient = message.channel === HANDSHAKE || message.channel === CONNECT;
    const latest = Date.now() + 1000 * deadline;
    const request = { id, message, done, transient, attempts, latest, sent: 0 };
    this.#requests.set(id, request);
    this.#send(request);
  }

  #isDue({ id, message }) {
    const session = this.#clientId || message.channel === HANDSHAKE;
    return this.#ready && session && this.#requests.has(id);
  }

  /* Through the extensions once, however often it is sent. */
  #send(request) {
    if (!this.#isDue(request)) return;
    if (request.stage === 'piped') return this.#post(request);
    if (request.stage) return;
    request.stage = 'in pipe';
    this.#address(request.message);
    this.pipeThroughExtensions('outgoing', request.message, (message) => {
      if (!message) return this.#answer(request, REFUSALS.dropped);
      Object.assign(request, { message, stage: 'piped' });
      this.#post(request);
    });
  }

  #post(request) {
    const { message, sent, attempts, latest } = request;
    if (!this.#isDue(request)) return;
    const late = sent >= attempts || (sent && Date.now() > latest);
    if (late) return this.#answer(request, REFUSALS.late);
    this.#address(message);
    this.#acknowledge(message);
    request.sent += 1;
    request.unknown = false;
    clearTimeout(request.timer);
    const patience = 1.2 * (this.#advice.timeout || 1000 * this.#options.timeout);
    request.timer = setTimeout(() => this.#lost(), patience);
    this.#transport.send(message);
  }

  #address(message) {
    if (message.channel !== HANDSHAKE) message.clientId = this.#clientId;
  }

  /* After the extensions, which may put an `ext` of their own in its place. */
  #acknowledge(message) {
    const ack = { [HANDSHAKE]: true, [CONNECT]: this.#acknowledged }[message.channel] ?? null;
    if (ack !== null) message.ext = { ...message.ext, ack };
  }

  #answer(request, reply) {
    clearTimeout(request.timer);
    this.#requests.delete(request.id);
    request.done(reply);
  }

  #receive(message) {
    if (!this.#transport) return;  // given up on the message before
    this.#heard = true;
    this.#choice.works(this.#type);
    const request = 'successful' in message && this.#requests.get(message.id);
    if (request && this.#isUnknown(request, message)) return;
    if (request) {
      clearTimeout(request.timer);
      this.#requests.delete(message.id);
    }
    if (message.channel === CONNECT && Number.isInteger(message.ext?.ack)) {
      this.#acknowledged = message.ext.ack;
    }
    this.#tell(true);
    if (message.data !== undefined && this.#seen.has(message.id)) return;
    this.pipeThroughExtensions('incoming', message, (heard) => this.#take(heard, request));
  }

  /* The session has gone, and the reply to the connect says what to do. What else was asked is
     asked again in the next session. */
  #isUnknown(request, { error }) {
    const { message, transient } = request;
    if (transient || message.channel === DISCONNECT || !/^401:/.test(error)) return false;
    clearTimeout(request.timer);
    request.unknown = true;
    if (message.clientId !== this.#clientId) this.#send(request);
    return true;
  }

  #take(message, request) {
    if (!message) return request && request.done(REFUSALS.dropped);
    Object.assign(this.#advice, message.advice);
    if (message.data !== undefined) this.#deliver(message);
    if (this.#advice.reconnect === 'none' && !this.#leaving) return this.#refused(message);
    if (request) request.done(message);
  }

  #refused({ error }) {
    const reason = FayeError.parse(error || '403::The server has ended the session');
    this.#end(reason);
    this.trigger('stopped', reason);
  }

  #deliver(message) {
    for (const name of matching(message.channel)) {
      for (const subscription of [...this.#subscriptions.get(name) || []]) {
        subscription.hear(message);
      }
    }
  }
}
