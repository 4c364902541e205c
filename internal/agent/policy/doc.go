// Package policy is part of step 7 of a run: the host's last word on what its
// agent does. It reads a file that only the host's owner can write (Keeper), and
// says of a command whether the file lets it run (Policy.Refuse). Package agent
// asks before anything of a command runs. Nothing that a service sends gets
// here but as the subject of a question.
//
// The file is YAML, so JSON will do too:
//
//	version: 1
//	documents:                     # by name, by content, or both
//	  - name: Deploy-*
//	    sha256: 5f70bf18...        # see Hash
//	    parameters: [version]      # those that a caller may give; [] for none
//	plugins: [aws:runShellScript]
//	run_as: [deploy]               # users that scripts may run as
//	outputs:                       # where outputs may be uploaded to
//	  - bucket: logs
//	    prefix: rack/7
//
// A rule that is not there limits nothing, save run_as: without it a step may
// not choose a user. An empty list lets nothing through. Whatever cannot be
// understood (an unknown field, a rule without a value) is an error, and with an
// error nothing is let through.
package policy
