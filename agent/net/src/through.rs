//! Writing that passes through a stream which changes only reading, or does one thing before or after each write.
//!
//! Each of the writing methods of such a wrapper is the same as the stream's below, down to vectored writes, which
//! would be lost by leaving them to the default.

/// Implements [`AsyncWrite`](tokio::io::AsyncWrite) for a wrapper `Name<S>`, or `Name` where nothing
/// is generic, by its field `stream`. With a second name, that method is asked before each write:
/// `fn(&self, &mut Context<'_>) -> io::Result<()>`. With `then` and a name, each outcome goes through that:
/// `fn<T>(&mut self, &mut Context<'_>, Poll<io::Result<T>>) -> Poll<io::Result<T>>`; it may ask for more of the stream.
#[macro_export]
macro_rules! write_through {
    ($name:ident<$stream:ident> $(, $check:ident)?) => {
        $crate::write_through!(@for [$stream: ::tokio::io::AsyncWrite + Unpin] $name<$stream> $(, $check)?);
    };
    ($name:ident $(, $check:ident)?) => {
        $crate::write_through!(@for [] $name $(, $check)?);
    };
    ($name:ident<$stream:ident $(: $more:path)?>, then $then:ident) => {
        $crate::write_through!(
            @for [$stream: $($more +)? ::tokio::io::AsyncWrite + Unpin] $name<$stream>; $then
        );
    };
    (@for [$($bound:tt)*] $name:ty $(, $check:ident)? $(; $then:ident)?) => {
        impl<$($bound)*> ::tokio::io::AsyncWrite for $name {
            fn poll_write(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $(self.$check(cx)?;)?
                let written = ::std::pin::Pin::new(&mut self.stream).poll_write(cx, buf);
                $(let written = self.$then(cx, written);)?
                written
            }

            fn poll_flush(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $(self.$check(cx)?;)?
                let written = ::std::pin::Pin::new(&mut self.stream).poll_flush(cx);
                $(let written = self.$then(cx, written);)?
                written
            }

            fn poll_shutdown(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $(self.$check(cx)?;)?
                let written = ::std::pin::Pin::new(&mut self.stream).poll_shutdown(cx);
                $(let written = self.$then(cx, written);)?
                written
            }

            fn poll_write_vectored(
                mut self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                slices: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $(self.$check(cx)?;)?
                let written = ::std::pin::Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
                $(let written = self.$then(cx, written);)?
                written
            }

            fn is_write_vectored(&self) -> bool {
                self.stream.is_write_vectored()
            }
        }
    };
}
