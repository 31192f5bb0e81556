'use strict';

/* A Bayeux client on one WebSocket, subscribed to some channels. A lost socket is replaced, and the
   session goes on where it was as long as the server still knows the client.

   Handlers: state(name) is told 'connecting', 'connected', 'offline' and, for good, 'refused';
   message(message) gets what was published, problem(error) what the server refuses. If there are,
   sending(message) may add to each message that goes out, and replied(message) sees each reply. */
class Bayeux {
  constructor(url, channels, handlers) {
    const none = () => {};
    Object.assign(this, { url, channels, handlers: { sending: none, replied: none, ...handlers } });
    this.clientId = null;
    this.advice = { reconnect: 'retry', interval: 0, timeout: 25000 };
    this.lastId = 0;
    this.failures = 0;
  }

  open() {
    clearTimeout(this.timer);
    this.handlers.state('connecting');
    const socket = this.socket = new WebSocket(this.url);
    socket.onopen = () => this.clientId ? this.connect(true) : this.handshake();
    socket.onmessage = (event) => {
      for (const message of JSON.parse(event.data)) {
        // A socket that was given up may still bring messages, but its replies are stale.
        if (socket === this.socket || 'data' in message) this.receive(message);
      }
    };
    socket.onclose = () => { if (socket === this.socket) this.lost(); };
  }

  /* Give up this socket and open another one, at once. */
  reopen() {
    const old = this.socket;
    this.open();
    old.close();
  }

  /* Say goodbye: the server forgets the client. */
  close() {
    if (this.clientId && this.isOpen()) this.send({ channel: '/meta/disconnect' });
    this.stop();
  }

  /* Give up for good, or until somebody opens it again. */
  stop() {
    this.clientId = null;
    clearTimeout(this.timer);
    clearTimeout(this.watchdog);
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
  }

  publish(channel, data) {
    this.send({ channel, data });
  }

  isOpen() {
    return this.socket !== null && this.socket.readyState === WebSocket.OPEN;
  }

  lost() {
    clearTimeout(this.watchdog);
    this.handlers.state('offline');
    const delay = Math.min(10000, 500 * 2 ** this.failures++) * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.open(), delay);
  }

  send(...messages) {
    for (const message of messages) {
      message.id = (++this.lastId).toString(36);
      if (this.clientId) message.clientId = this.clientId;
      this.handlers.sending(message);
    }
    this.socket.send(JSON.stringify(messages));
  }

  handshake() {
    this.clientId = null;
    this.send({ channel: '/meta/handshake', version: '1.0',
                supportedConnectionTypes: ['websocket'] });
  }

  connectMessage(atOnce) {
    clearTimeout(this.watchdog);
    const patience = this.advice.timeout + 10000;
    this.watchdog = setTimeout(() => this.reopen(), patience);
    const message = { channel: '/meta/connect', connectionType: 'websocket' };
    return atOnce ? { ...message, advice: { timeout: 0 } } : message;
  }

  /* Wait for messages; atOnce asks for a reply without waiting, to learn how things are. */
  connect(atOnce) {
    this.send(this.connectMessage(atOnce));
  }

  receive(message) {
    if ('data' in message) return this.handlers.message(message);
    Object.assign(this.advice, message.advice);
    this.answered(message);
    this.handlers.replied(message);
  }

  answered(reply) {
    if (this.advice.reconnect === 'none') return this.refused(reply);
    switch (reply.channel) {
      case '/meta/handshake': return this.handshaken(reply);
      case '/meta/connect': return this.connected(reply);
    }
    if (!reply.successful) this.handlers.problem(reply.error);
  }

  /* The server does not want this client, or not any more. */
  refused(reply) {
    this.stop();
    this.handlers.state('refused');
    this.handlers.problem(reply.error || '403::The server has ended the session');
  }

  handshaken(reply) {
    if (!reply.successful) return this.again(() => this.handshake(), 1000);
    this.clientId = reply.clientId;
    this.send({ channel: '/meta/subscribe', subscription: this.channels },
              this.connectMessage(true));
  }

  connected(reply) {
    if (!reply.successful) {
      const next = this.advice.reconnect === 'handshake' ? 'handshake' : 'connect';
      return this.again(() => this[next](), 1000);
    }
    this.failures = 0;
    this.handlers.state('connected');
    this.again(() => this.connect(), 0);
  }

  /* Do the next step after the interval that the server advises, but no sooner than `least` ms. */
  again(step, least) {
    if (least) this.handlers.state('connecting');
    const socket = this.socket;
    const run = () => { if (socket === this.socket && this.isOpen()) step(); };
    clearTimeout(this.timer);
    this.timer = setTimeout(run, Math.max(this.advice.interval || 0, least));
  }
}
