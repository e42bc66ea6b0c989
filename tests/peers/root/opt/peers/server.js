// Answers with its identity, like the reference worker: a plain HTTP server, one process of a cluster.
'use strict';

const http = require('node:http');

const body = JSON.stringify({
  instance: Number(process.env.NODE_APP_INSTANCE),
  pid: process.pid,
  version: '1.0.0',
  release: 'node',
});

const server = http.createServer((request, response) => {
  if (request.method === 'POST') {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => response.end(Buffer.concat(pieces)));
    return;
  }
  response.setHeader('Content-Type', 'application/json');
  response.end(body);
});

// close() keeps connections on which requests arrive without a pause. PM2 kills after this many milliseconds.
const DRAIN = 1600;

function drain() {
  server.close(() => process.exit());
  // Node 19 and later do this in close().
  server.closeIdleConnections();
  setTimeout(() => process.exit(), DRAIN);
}

// PM2 sends the first, a cluster's primary the second.
process.on('SIGINT', drain);
process.on('SIGTERM', drain);

// PM2 waits for the message (wait_ready).
server.listen(8080, '127.0.0.1', () => process.send('ready'));
