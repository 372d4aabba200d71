//! Randomness.

use domain::secret::Secret;

/// Fills buffers with unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills the whole buffer with bytes fit for keys.
    fn fill(&self, buffer: &mut [u8]);

    /// A number in `0.0..1.0`, for jitter.
    fn uniform(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    /// A number fit for a certificate's serial: never zero, and below 2⁶³ because X.509 serials are signed.
    fn serial(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        (u64::from_le_bytes(bytes) >> 1).max(1)
    }

    /// A version 4 UUID.
    fn uuid(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// 16 bytes as 32 hexadecimal digits: a join token.
    fn token(&self) -> Secret {
        Secret::from(self.uuid_bytes_hex())
    }

    /// 16 random bytes in hexadecimal.
    fn uuid_bytes_hex(&self) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        // The generator fails only on systems too old to run this program; running on without
        // randomness would be worse than stopping.
        #[allow(clippy::expect_used, reason = "no key may be made without randomness")]
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }
}
