// Package runner is step 2 of the way of a run: it sends one document to the
// instances a caller names, waits, and says what happened on each of them.
//
// It is called by internal/provider (the Terraform action) and internal/cli
// (the command line), and calls Systems Manager through a small interface that
// the AWS SDK's client satisfies. The far end is AWS or this project's own
// service; nothing here knows which, but for the header of the long poll.
//
// A run, in the order of the files:
//
//	request.go    what is asked for; check.go: what the request alone proves wrong
//	document.go   the document: is it there, is it a Command document, do the parameters fit
//	instances.go  the instances: known, online, or worth waiting for (ec2.go: what EC2 says)
//	bucket.go     the output bucket: is it there, and in which region
//	send.go       SendCommand, at most once (retry.go: when a repeat is safe; adopt.go: looking for our token)
//	watch.go      polls until everything is over; longpoll.go: the long poll
//	stop.go       the timeout and the interrupt
//	collect.go    results per instance; output.go: the objects in S3
//	explain.go    every error in words; report.go, text.go: the text a human reads
//
// Beside it, preflight.go asks the same questions for a plan, and show.go looks
// at and cancels commands that were sent before.
//
// Two promises shape the code. No script runs twice: SendCommand is repeated
// only where the service certainly did not accept it. Nothing is lost in
// silence: whatever was sent is named in every error, with the line that shows
// or cancels it. No parameter value is ever logged or printed.
package runner
