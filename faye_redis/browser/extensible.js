/* What a page can add to a client: extensions and listeners. */

import { guarded } from './messages.js';

export class Extensible {
  #extensions = [];
  #listeners = {};

  /* extension: has `incoming(message, callback)`, `outgoing(message, callback)` or both; each hands
     the message on, changed or not, or null to drop it. */
  addExtension(extension) {
    this.#extensions.push(extension);
    extension.added?.(this);
  }

  removeExtension(extension) {
    const left = this.#extensions.filter((one) => one !== extension);
    if (left.length < this.#extensions.length) extension.removed?.(this);
    this.#extensions = left;
  }

  on(event, callback, context) {
    (this.#listeners[event] ||= []).push({ callback, context });
    return this;
  }

  bind(event, callback, context) { return this.on(event, callback, context); }

  /* One callback, or all of the event. */
  off(event, callback) {
    this.#listeners[event] = (this.#listeners[event] || []).filter(
      (one) => callback && one.callback !== callback);
    return this;
  }

  unbind(event, callback) { return this.off(event, callback); }

  trigger(event, ...args) {
    for (const { callback, context } of [...this.#listeners[event] || []]) {
      guarded(callback, context, ...args);
    }
  }

  pipeThroughExtensions(stage, message, done) {
    const steps = this.#extensions.filter((extension) => extension[stage]);
    const step = (number, current) => {
      if (!current || number === steps.length) return done(current);
      guarded(steps[number][stage], steps[number], current, (next) => step(number + 1, next));
    };
    step(0, message);
  }
}
