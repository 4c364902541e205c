package conformance

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
)

// s3Host begins the addresses of objects as AWS spells them.
const s3Host = "https://s3.<region>.amazonaws.com/"

// worldly names the literals of the record that tell of AWS's world and not of
// its behaviour, and so are compared by their form alone. It gives the reason;
// "" where the value itself counts.
//
//   - PlatformName, PlatformVersion: the recorded nodes were of Amazon Linux
//     2023; here they are whatever this machine is.
//   - The host of an object's address (in comparer.text): here it is the
//     service's own endpoint. The path counts.
func worldly(operation, member string, want, got any) string {
	switch member {
	case "PlatformName", "PlatformVersion":
		_, w := want.(string)
		if s, g := got.(string); w && g && s != "" && operation == "DescribeInstanceInformation" {
			return "the host's own system"
		}
	}
	return ""
}

var (
	epochForm = regexp.MustCompile(`^[12]\d{9}\.\d{1,3}$`)
	isoForm   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
)

// timeForm says what is wrong with a time: GetCommandInvocation has strings, the
// other operations numbers.
func timeForm(operation string, got any) string {
	if operation == "GetCommandInvocation" {
		if s, ok := got.(string); !ok || !isoForm.MatchString(s) {
			return "want a time like 2026-09-27T00:38:21.786Z"
		}
		return ""
	}
	if n, ok := got.(json.Number); !ok || !epochForm.MatchString(n.String()) {
		return "want a time as seconds since 1970 with a fraction"
	}
	return ""
}

// forms are those of placeholders whose value nobody knows beforehand.
var forms = map[string]*regexp.Regexp{
	"command-id":    regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`),
	"instance-id":   regexp.MustCompile(`^(i-([0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17})$`),
	"hash":          regexp.MustCompile(`^[0-9a-f]{64}$`),
	"elapsed":       regexp.MustCompile(`^PT(\d+H)?(\d+M)?(\d+(\.\d{0,2}[1-9])?S)?$`),
	"account":       regexp.MustCompile(`^\d{12}$`),
	"agent-version": regexp.MustCompile(`^\d+(\.\d+){1,3}$`),
	"computer-name": regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]*$`),
	"region":        regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`),
}

// form says what is wrong with the value of a placeholder. One that is not known
// has to be some text.
func form(name string, got any) string {
	s, ok := got.(string)
	switch f := forms[name]; {
	case !ok || s == "":
		return "want a text for <" + name + ">"
	case name == "ip":
		if _, err := netip.ParseAddr(s); err != nil {
			return "want an address"
		}
	case name == "elapsed" && s == "PT":
		return "want a duration like PT0.02S"
	case name == "content" && strings.HasPrefix(s, "{") && !json.Valid([]byte(s)):
		return "want a document"
	case f != nil && !f.MatchString(s):
		return "want the form of <" + name + ">, " + f.String()
	}
	return ""
}
