/* Transports. Each is told the `url` and `headers`, and calls `opened()` once,
   `received(messages)`, and `lost(code)` when it cannot go on; none of them after `close()`. */

import { CONNECT } from './messages.js';

export const TOO_BIG = 413;  // lost because of the largest message that was sent

class Socket {
  constructor(url, headers, { opened, received, lost }) {
    const socket = this.socket = new WebSocket(url.replace(/^http/, 'ws'));
    socket.onopen = opened;
    socket.onmessage = (event) => received(JSON.parse(event.data));
    socket.onclose = (event) => lost(event.code === 1009 ? TOO_BIG : 0);  // RFC 6455, 7.4.1
  }

  send(message) {
    this.socket.send(JSON.stringify([message]));
  }

  close() {
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
  }
}

/* Long-polling. The connect has a request to itself, which the server holds. Everything else goes
   through one request at a time: requests side by side have no order. */
class Polling {
  static most = 50;  // messages in one POST; the server takes `max_batch`, by default 100

  constructor(url, headers, events) {
    Object.assign(this, { url, headers, events, queue: [], busy: false });
    this.aborter = new AbortController();
    queueMicrotask(() => this.closed || events.opened());
  }

  send(message) {
    if (message.channel === CONNECT) return this.post([message]);
    this.queue.push(message);
    if (!this.busy) this.flush();
  }

  async flush() {
    this.busy = true;
    await null;  // what is sent in the same turn goes together
    while (this.queue.length && !this.closed) {
      await this.post(this.queue.splice(0, Polling.most));
    }
    this.busy = false;
  }

  async post(messages) {
    let status = 0;
    try {
      const answer = await this.fetch(messages, { signal: this.aborter.signal });
      status = answer.status;
      if (!answer.ok) throw answer;
      const replies = await answer.json();
      if (!this.closed) this.events.received(replies);
    } catch {
      if (!this.closed) this.events.lost(this.#blame(status, messages.length));
    }
  }

  /* Too big, or too many together? */
  #blame(status, count) {
    if (status !== TOO_BIG || count === 1) return status;
    Polling.most = count >> 1;
    return 0;
  }

  fetch(messages, options) {
    return fetch(this.url, {
      method: 'POST', credentials: 'include', body: JSON.stringify(messages),
      headers: { 'Content-Type': 'application/json', ...this.headers }, ...options
    });
  }

  /* A last word, which outlives the page. */
  leave(message) {
    this.fetch([message], { keepalive: true }).catch(() => {});
  }

  close() {
    this.closed = true;
    this.aborter.abort();
  }
}

/* In the order in which they are tried. */
export const TRANSPORTS = { websocket: Socket, 'long-polling': Polling };

const PATIENCE = 5;  // WebSockets in a row that may fail once one has worked

/* Which transport to use: a WebSocket, unless it does not work here. */
export class Choice {
  #disabled = new Set();
  #worked = false;
  #misses = 0;  // in a row

  get types() {
    return Object.keys(TRANSPORTS).filter((type) => !this.#disabled.has(type) &&
      (type !== 'websocket' || typeof WebSocket !== 'undefined'));
  }

  get best() {
    const hopeless = this.#misses >= (this.#worked ? PATIENCE : 1);
    return this.types.at(hopeless ? -1 : 0);
  }

  disable(feature) { this.#disabled.add(feature); }

  isDisabled(feature) { return this.#disabled.has(feature); }

  /* A transport has brought something. */
  works(type) { this.#worked ||= type === 'websocket'; }

  /* One was lost, after it had brought something or before. Once the others do not work either, it
     is not because it was a WebSocket.

     Returns true if another one should be tried at once. */
  lost(type, worked) {
    this.#misses = type === 'websocket' && !worked ? this.#misses + 1 : 0;
    return this.#misses > 0 && this.best !== type;
  }
}
