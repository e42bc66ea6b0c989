//! The socket that all workers share.

use crate::Cluster;

impl Cluster {
    /// Asserts that the shared socket listens, and has refused no connection.
    ///
    /// # Panics
    /// If that does not hold.
    #[track_caller]
    pub fn assert_socket_is_there(&self) {
        let seen = ["ActiveState", "Result", "NRefused"].map(|name| self.show("app-cluster.socket", name));
        assert_eq!(seen, ["active", "success", "0"], "state, result and refused connections of the socket");
    }

    /// Asserts that the shared socket listens, has refused no connection, and is non-blocking for all
    /// processes that share it.
    ///
    /// # Panics
    /// If that does not hold, or not all workers are ready.
    #[track_caller]
    pub fn assert_socket_is_whole(&self) {
        self.assert_socket_is_there();
        // fcntl(2): O_NONBLOCK is a flag of the open file description, which all these processes share.
        let pid = self.pids()[&1];
        let flags = self.shell(&format!("sed -n 's/^flags:[[:space:]]*//p' /proc/{pid}/fdinfo/3"));
        let is_nonblocking = u32::from_str_radix(flags.stdout(), 8).is_ok_and(|flags| flags & 0o4000 != 0);
        assert!(is_nonblocking, "accept(2) on the shared socket blocks:\n{flags}");
    }
}
