// A cluster's primary with the usual loop: at SIGUSR2 it forks one worker after another, and ends an old one
// once the new one listens.
'use strict';

const cluster = require('node:cluster');

const WORKERS = 4;

cluster.setupPrimary({ exec: '/opt/peers/server.js' });

const fork = () => cluster.fork({ NODE_APP_INSTANCE: 0 });
for (let number = 0; number < WORKERS; number += 1) {
  fork();
}

const replaced = new Set();

// A worker that was not replaced has crashed.
cluster.on('exit', (worker) => {
  if (!replaced.delete(worker.id)) {
    fork();
  }
});

process.on('SIGUSR2', () => {
  const former = Object.values(cluster.workers).filter((worker) => !replaced.has(worker.id));
  const next = () => {
    const old = former.shift();
    if (old) {
      fork().once('listening', () => {
        replaced.add(old.id);
        old.kill();
        next();
      });
    }
  };
  next();
});
