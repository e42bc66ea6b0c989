'use strict';

module.exports = {
  apps: [
    {
      name: 'peer',
      script: '/opt/peers/server.js',
      exec_mode: 'cluster',
      instances: 4,
      wait_ready: true,
      // Of a worker that is not ready by then PM2 thinks that it is, and 3 s are little on a busy machine.
      listen_timeout: 10000,
    },
  ],
};
