//! Reverse tunnels: the agent's end and the proxy's.
