package agent

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ssmrun/internal/agent/policy"
	"ssmrun/internal/document"
)

const policyUsage = `ssmrun-agent policy looks at policies of hosts.

  ssmrun-agent policy check FILE [--document FILE [--name NAME] [--run-as USER]]
        checks a policy as an agent of this user would, and tells what it accepts;
        with --document, whether it accepts that document
  ssmrun-agent policy hash FILE...
        the sha256 of documents in files (JSON or YAML), as a policy names it: of
        the content that an agent is sent, which is the same however the file is
        laid out

Exit codes: 0 all is well and accepted, 1 refused or an error, 2 wrong usage.

`

// policyMain is `ssmrun-agent policy`.
func policyMain(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "ssmrun-agent policy: say check or hash; see --help")
		return ExitUsage
	}
	switch args[0] {
	case "check":
		return policyCheck(args[1:], stdout, stderr)
	case "hash":
		return policyHash(args[1:], stdout, stderr)
	case "-h", "-help", "--help":
		fmt.Fprint(stdout, policyUsage)
		return ExitOK
	}
	fmt.Fprintf(stderr, "ssmrun-agent policy: there is no %q; see --help\n", args[0])
	return ExitUsage
}

// policyHash is `ssmrun-agent policy hash`.
func policyHash(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("ssmrun-agent policy hash", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	if code, done := parseSub(f, args, policyUsage, stdout, stderr); done {
		return code
	}
	if f.NArg() == 0 {
		fmt.Fprintln(stderr, "ssmrun-agent policy hash: name the documents' files; see --help")
		return ExitUsage
	}
	code := ExitOK
	for _, name := range f.Args() {
		d, err := readDocument(name)
		if err != nil {
			fmt.Fprintf(stderr, "ssmrun-agent policy hash: %v\n", err)
			code = ExitFailed
			continue
		}
		fmt.Fprintf(stdout, "%s  %s\n", d.Hash(), name)
	}
	return code
}

func readDocument(name string) (*document.Document, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	d, err := document.Parse(content, "")
	if err != nil {
		return nil, fmt.Errorf("%s: %s", name, publicMessage(err))
	}
	return d, nil
}

// policyCheck is `ssmrun-agent policy check`.
func policyCheck(args []string, stdout, stderr io.Writer) int {
	var doc, name, runAs string
	f := flag.NewFlagSet("ssmrun-agent policy check", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&doc, "document", "", "`file` with a document")
	f.StringVar(&name, "name", "", "the document's `name`; the file's without its ending where it is not given")
	f.StringVar(&runAs, "run-as", ownName(), "`user` of the agent's --run-as")
	var files []string
	for rest := args; ; { // flags may stand after the file
		if code, done := parseSub(f, rest, policyUsage, stdout, stderr); done {
			return code
		}
		if f.NArg() == 0 {
			break
		}
		files, rest = append(files, f.Arg(0)), f.Args()[1:]
	}
	if len(files) != 1 || name != "" && doc == "" {
		fmt.Fprintln(stderr, "ssmrun-agent policy check: name one policy, and --name only with --document; see --help")
		return ExitUsage
	}
	fail := func(err error) int {
		fmt.Fprintf(stderr, "ssmrun-agent policy check: %v\n", err)
		return ExitFailed
	}
	path, err := filepath.Abs(files[0])
	if err != nil {
		return fail(err)
	}
	p, err := policy.Read(path)
	if err != nil {
		return fail(err)
	}
	fmt.Fprintf(stdout, "%s: ok, sha256 %s\n%s", p.Path, p.SHA256, p.Text())
	if doc == "" {
		return ExitOK
	}
	d, err := readDocument(doc)
	if err != nil {
		return fail(err)
	}
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(doc), filepath.Ext(doc))
	}
	r := policy.Request{Document: name, SHA256: d.Hash()}
	for _, s := range d.Steps {
		step := policy.Step{Name: s.Name, Plugin: s.Action, User: runAs}
		if user, ok := s.Inputs[inputRunAs].(string); ok && user != "" && !strings.Contains(user, "{{") {
			step.User, step.Chosen = user, true
		}
		r.Steps = append(r.Steps, step)
	}
	if refused := p.Refuse(r); refused != nil {
		fmt.Fprintf(stdout, "\ndocument %s, sha256 %s: %s\n", name, r.SHA256, refused.Error())
		return ExitFailed
	}
	fmt.Fprintf(stdout, "\ndocument %s, sha256 %s: accepted\n", name, r.SHA256)
	return ExitOK
}
