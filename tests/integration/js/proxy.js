// A TCP proxy that can cut every connection and refuse new ones: an outage of the network.
'use strict';

const net = require('net');

class Proxy {
  constructor(url) {
    this.target = new URL(url);
    this.sockets = new Set();
    this.refusing = false;
    this.server = net.createServer((near) => this.accept(near));
  }

  accept(near) {
    if (this.refusing) return near.destroy();
    const far = net.connect(this.target.port, this.target.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      this.sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => { this.sockets.delete(from); to.destroy(); });
      from.pipe(to);
    }
  }

  listen() {
    return new Promise((resolve) => this.server.listen(0, '127.0.0.1', () => {
      const url = new URL(this.target);
      url.port = this.server.address().port;
      resolve(url.href);
    }));
  }

  cut() {
    this.refusing = true;
    for (const socket of this.sockets) socket.destroy();
  }

  restore() { this.refusing = false; }
}

module.exports = { Proxy };
