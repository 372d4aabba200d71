//! Writing that passes through a stream which changes only reading.
//!
//! The wrappers of this workspace add something to reading; each of their writing methods is the same
//! as the stream's below, down to vectored writes, which would be lost by leaving them to the default.

/// Implements [`AsyncWrite`](tokio::io::AsyncWrite) for a wrapper `Name<S>`, or `Name` where nothing
/// is generic, by its field `stream`. With a second name, that method is asked before each write:
/// `fn(&self, &mut Context<'_>) -> io::Result<()>`.
#[macro_export]
macro_rules! write_through {
    ($name:ident<$stream:ident> $(, $check:ident)?) => {
        $crate::write_through!(@for [$stream: ::tokio::io::AsyncWrite + Unpin] $name<$stream> $(, $check)?);
    };
    ($name:ident $(, $check:ident)?) => {
        $crate::write_through!(@for [] $name $(, $check)?);
    };
    (@for [$($bound:tt)*] $name:ty $(, $check:ident)?) => {
        impl<$($bound)*> ::tokio::io::AsyncWrite for $name {
            fn poll_write(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $(self.$check(cx)?;)?
                ::std::pin::Pin::new(&mut self.stream).poll_write(cx, buf)
            }

            fn poll_flush(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $(self.$check(cx)?;)?
                ::std::pin::Pin::new(&mut self.stream).poll_flush(cx)
            }

            fn poll_shutdown(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $(self.$check(cx)?;)?
                ::std::pin::Pin::new(&mut self.stream).poll_shutdown(cx)
            }

            fn poll_write_vectored(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                slices: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $(self.$check(cx)?;)?
                ::std::pin::Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
            }

            fn is_write_vectored(&self) -> bool {
                self.stream.is_write_vectored()
            }
        }
    };
}
