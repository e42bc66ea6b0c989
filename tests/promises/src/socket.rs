//! The socket that all workers share.

use crate::Cluster;

impl Cluster {
    /// The shared socket is there, and nobody was refused by it.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn assert_socket_is_there(&self) {
        let seen = ["ActiveState", "Result", "NRefused"].map(|name| self.show("app-cluster.socket", name));
        assert_eq!(seen, ["active", "success", "0"], "state, result and refused connections of the socket");
    }

    /// The shared socket is there, nobody was refused by it, and all who share it can rely on accept(2).
    ///
    /// # Panics
    /// When it is not, or not all workers are ready.
    #[track_caller]
    pub fn assert_socket_is_whole(&self) {
        self.assert_socket_is_there();
        // fcntl(2): O_NONBLOCK is a flag of the open file, which all who share the socket have in common.
        let pid = self.pids()[&1];
        let flags = self.shell(&format!("sed -n 's/^flags:[[:space:]]*//p' /proc/{pid}/fdinfo/3"));
        let is_nonblocking = u32::from_str_radix(flags.stdout(), 8).is_ok_and(|flags| flags & 0o4000 != 0);
        assert!(is_nonblocking, "accept(2) on the shared socket blocks:\n{flags}");
    }
}
