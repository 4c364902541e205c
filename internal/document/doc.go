// Package document reads SSM documents: it parses and checks them, checks the
// parameters a caller gives, and puts these into the steps.
//
// It has no step of its own in the way of a run but is used at four of them:
// the runner (2) checks parameters at plan time and converts them by the
// document's types, the api (3) accepts, describes and embeds documents,
// control (4) asks how long a document may run, and the agent (7) resolves
// steps and their preconditions. It calls nobody: everything here is a pure
// function of its arguments, with no file, clock or network in it (ReadDir
// reads the fs.FS that it is given).
//
// Command documents of schema 1.2, 2.0 and 2.2 are understood, in JSON and in
// YAML. Documents of other types are only classified. Lint finds parameters that
// open a script to whoever may give them.
//
// What is refused, how errors are worded, what a description holds and what
// counts for ExpiresAfter follow AWS where AWS's answer is known; the tests
// hold these answers as tables. Where it is not known, the comment says what
// was chosen.
//
// No error of this package holds the value of a parameter: it may be a secret.
package document
