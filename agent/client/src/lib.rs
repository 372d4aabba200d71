//! The library under tctl, tsh and the services that speak to auth.
