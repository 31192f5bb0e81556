/* Pure parts: errors, channels, and one subscription of a page. */

export const HANDSHAKE = '/meta/handshake', CONNECT = '/meta/connect';
export const DISCONNECT = '/meta/disconnect';
export const SUBSCRIBE = '/meta/subscribe', UNSUBSCRIBE = '/meta/unsubscribe';

const refusal = (error) => ({ successful: false, error });

/* Replies that the client makes up. */
export const REFUSALS = {
  dropped: refusal('404::message_deleted'),  // by an extension
  late: refusal('408::Not answered in time'),
  tooBig: refusal('413::Message too big')
};

const MOST_REMEMBERED = 5000;

/* What the server said, "code:params:text" (Bayeux 3.14), or what the client itself says. */
export class FayeError extends Error {
  constructor(code, params, message) {
    super(message);
    this.code = code;
    this.params = params;
  }

  static parse(said = '') {
    if (said instanceof FayeError) return said;
    const [, code, params, message] = /^(\d+):([^:]*):(.*)$/s.exec(said) || [];
    return code ? new FayeError(+code, params.split(','), message) : new FayeError(null, [], said);
  }

  toString() {
    return `${this.code ?? ''}:${this.params.join(',')}:${this.message}`;
  }
}

/* Somebody else's code must not stop ours; the page hears of its error as of any other. */
export const guarded = (callback, context, ...args) => {
  try {
    callback.apply(context, args);
  } catch (error) {
    setTimeout(() => { throw error; });
  }
};

/* Every channel and pattern that matches a channel: /a/b, /a/*, /a/**, /**. */
export const matching = (channel) => {
  const parts = channel.split('/');
  const parents = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'));
  return [channel, `${parents.at(-1)}/*`, ...parents.map((parent) => `${parent}/**`)];
};

/* Of requests, the one with the most to send. */
export const largest = (requests) => {
  const size = ({ message }) => JSON.stringify(message).length;
  return requests.reduce((one, other) => size(other) > size(one) ? other : one);
};

/* The ids of the last messages, by which a second copy is recognised. */
export class Seen {
  #ids = new Set();

  /* Has it been here before? */
  has(id) {
    if (this.#ids.has(id)) return true;
    if (this.#ids.size === MOST_REMEMBERED) this.#ids.delete(this.#ids.values().next().value);
    this.#ids.add(id);
    return false;
  }
}

/* What `subscribe` gives: settles when the server has answered; rejected, it is no longer listened
   to. */
export class Subscription {
  #settled;

  constructor(client, channel, callback, context) {
    Object.assign(this, { client, channel, callback, context });
    this.#settled = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.#settled.catch(() => {});  // a page need not look
  }

  then(done, failed) { return this.#settled.then(done, failed); }

  catch(failed) { return this.#settled.catch(failed); }

  withChannel(callback, context) {
    this.channelled = { callback, context };
    return this;
  }

  hear({ channel, data }) {
    if (this.callback) guarded(this.callback, this.context, data);
    const { callback, context } = this.channelled || {};
    if (callback) guarded(callback, context, channel, data);
  }

  cancel() { this.client.unsubscribe(this.channel, this); }

  unsubscribe() { this.cancel(); }
}
