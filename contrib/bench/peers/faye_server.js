// Faye's Node server: node faye_server.js PORT [REDIS_PORT]. Without the latter in memory.
'use strict';

const http = require('http');
const faye = require('faye');

const BACKLOG = 4096;
const KEEP_ALIVE = 120000; // ms; Node's own 5 s would close long-polling connections under load
const [port, redisPort] = process.argv.slice(2).map(Number);

const options = {mount: '/bayeux', timeout: 25};
if (redisPort) {
  options.engine = {type: require('faye-redis'), host: '127.0.0.1', port: redisPort};
}
const server = http.createServer();
server.keepAliveTimeout = KEEP_ALIVE;
new faye.NodeAdapter(options).attach(server);
server.listen(port, '127.0.0.1', BACKLOG);
