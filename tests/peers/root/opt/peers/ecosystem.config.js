'use strict';

module.exports = {
  apps: [
    {
      name: 'peer',
      script: '/opt/peers/server.js',
      exec_mode: 'cluster',
      instances: 4,
      wait_ready: true,
      // PM2 treats a worker as ready after this time even if it is not. The default of 3 s is short for a
      // busy machine.
      listen_timeout: 10000,
    },
  ],
};
