// Package sigv4 computes and verifies AWS Signature Version 4, on the standard
// library alone.
//
// In the way of a run it is step 3a: the service's front door asks it who signed
// a request ([Parse]), looks the key up in package identity, and has the
// signature checked ([Verifier.Verify]) before any operation sees the request.
// Agents sign their calls with it ([Sign], [SignRSA]); they need no SDK for
// that. It calls nobody and keeps no keys but a cache of derived ones.
//
// Three kinds of signature:
//
//	header      Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=hex
//	presigned   the same as X-Amz-… parameters of the query, with an end of life
//	hybrid      the header form, Signature=base64 of RSA-PSS by an instance's own key,
//	            and the instance id in the place of the access key id
//
// What is verified goes further than the signature. A client says itself which
// headers it signed, and one that was left out can be changed on the way; the
// operation of a call is a header (X-Amz-Target). So host, x-amz-date and every
// x-amz-* header of the request must be among the signed ones (but, outside S3,
// x-amz-content-sha256, which is compared with the body), and those that
// steer the service may stand there once only: two lines and one line with a
// comma sign alike. Content-Type need not be signed: the body is, and nothing
// is chosen by it. AWS's SDKs in Go, Python, Java and JavaScript meet all this.
package sigv4
