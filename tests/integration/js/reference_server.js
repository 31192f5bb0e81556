// Faye's own server, the peer that the tests compare with.
// node reference_server.js '{"port": 8000, "timeout": 25}'
// Outside the mount it answers 404, as a Node application without routes does.
'use strict';

const http = require('http');
const faye = require('faye');

const options = JSON.parse(process.argv[2]);
const adapter = new faye.NodeAdapter({ mount: '/faye', timeout: options.timeout });

const server = http.createServer((request, response) => {
  response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' });
  response.end('Not Found');
});
adapter.attach(server);
server.listen(options.port, '127.0.0.1');
