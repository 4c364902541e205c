// Package objects is the S3 endpoint of the service: the place where agents
// leave whole outputs, beside step 7 (agent) of the way of a run, and where
// callers fetch them. The daemon starts it and dispatches every request to
// Handler whose credential scope names the service s3; agents and callers reach
// it as they reach S3 itself, with an SDK or the AWS command line. It calls
// nobody but the two look-ups for secrets that Config carries. A service that
// uses another S3 does not start it.
//
// It is versitygw over a directory, and Handler in front of it:
//
//	client -> Handler -> Unix socket -> versitygw -> Dir/buckets/NAME/KEY
//
// Who verifies. versitygw verifies the signature of every request, payload
// hashes and signed chunks included, over the request exactly as the client
// signed it: Handler changes neither path, query, host nor a signed header. The
// gateway asks for a signing key with the access key and the session token of
// the request (keyring), so temporary credentials need no second signature. Before
// that, Handler refuses what needs no secret to be refused: requests without
// a signature, a region that is not served, a bucket of another region (answered
// with x-amz-bucket-region, as S3 does), and everything but uploads when a
// session token is presented, because a host that runs commands has no business
// reading other hosts' output. A caller with a permanent key may do everything.
//
// What S3 does and this does not: keys are paths of files, so "a" and "a/b"
// cannot both be objects, a part between slashes has at most 255 bytes, and "." or
// ".." as a part is refused; no versioning; no browser form uploads. Uploads that
// were begun in parts and never finished stay until they are aborted.
//
// Durability. versitygw never syncs. The store in this package does, after the
// gateway has put a file into place and before the client sees the answer: the
// file with its attributes, and each directory above it whose name may not be on
// the disk yet. So an object whose upload was acknowledged survives a power cut,
// as a command does. Parts of an upload are not synced, the object made of them is;
// a deletion is not synced either, so a deleted object may come back.
//
// Traps. versitygw's file store changes the working directory of the whole
// process to Dir/buckets, so all other paths of the process must be absolute and
// there can be one Server at a time (Start says so; Stop restores the directory).
// It reads the wall clock itself: the 15 minutes of allowed skew cannot be
// tested with an injected clock. It takes the end of a connection for the end of a
// body (whole). It prints unexpected errors to standard error by itself; Handler
// and the store keep the ordinary ones, of clients that go away, from it.
package objects
