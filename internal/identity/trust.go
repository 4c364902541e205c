package identity

import (
	"encoding/json"
	"slices"
	"strings"

	"ssmrun"
)

// CodeMalformedPolicy is what IAM answers to a policy that cannot be read.
const CodeMalformedPolicy ssmrun.Code = "MalformedPolicyDocument"

// The service principals that an instance's role trusts: an agent that
// registered with an activation gets its keys from Systems Manager, one on EC2
// from its instance's metadata.
const (
	ServiceSSM = "ssm.amazonaws.com"
	ServiceEC2 = "ec2.amazonaws.com"
)

// TrustPolicy is a trust policy that lets services assume its role.
func TrustPolicy(services ...string) string {
	doc := trustDocument{Version: "2012-10-17"}
	for _, s := range services {
		doc.Statement = append(doc.Statement, trustStatement{Effect: "Allow", Principal: json.RawMessage(`{"Service":"` + s + `"}`), Action: oneOrMany{"sts:AssumeRole"}})
	}
	b, _ := json.Marshal(doc) // texts only: cannot fail
	return string(b)
}

type trustDocument struct {
	Version   string
	Statement statements
}

type trustStatement struct {
	Sid          string `json:",omitempty"`
	Effect       string
	Principal    json.RawMessage `json:",omitempty"`
	NotPrincipal json.RawMessage `json:",omitempty"`
	Action       oneOrMany       `json:",omitempty"`
	NotAction    oneOrMany       `json:",omitempty"`
	Resource     json.RawMessage `json:",omitempty"`
	NotResource  json.RawMessage `json:",omitempty"`
	Condition    json.RawMessage `json:",omitempty"`
}

// statements is a list of statements, or one without its list.
type statements []trustStatement

// UnmarshalJSON implements json.Unmarshaler.
func (s *statements) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		*s = make(statements, 1)
		return json.Unmarshal(b, &(*s)[0])
	}
	return json.Unmarshal(b, (*[]trustStatement)(s))
}

// oneOrMany is a text, or a list of texts.
type oneOrMany []string

// UnmarshalJSON implements json.Unmarshaler.
func (o *oneOrMany) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*o = make(oneOrMany, 1)
		return json.Unmarshal(b, &(*o)[0])
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// MarshalJSON writes one text without a list.
func (o oneOrMany) MarshalJSON() ([]byte, error) {
	if len(o) == 1 {
		return json.Marshal(o[0])
	}
	return json.Marshal([]string(o))
}

// TrustedServices reads a trust policy and gives the service principals that it
// lets assume its role, sorted. Conditions count as met: they narrow down for
// which account or host a service acts, and this service acts for its own. Errors
// have CodeMalformedPolicy.
func TrustedServices(policy string) ([]string, error) {
	var doc trustDocument
	if err := json.Unmarshal([]byte(policy), &doc); err != nil {
		return nil, ssmrun.Errorf(CodeMalformedPolicy, "This policy contains invalid Json")
	}
	if len(doc.Statement) == 0 {
		return nil, ssmrun.Errorf(CodeMalformedPolicy, "The trust policy has no Statement. Say who may assume the role.")
	}
	var allowed, denied []string
	for _, s := range doc.Statement {
		services, err := s.services()
		if err != nil {
			return nil, err
		}
		switch {
		case !slices.ContainsFunc(s.Action, assumes):
		case s.Effect == "Allow":
			allowed = append(allowed, services...)
		case len(s.Condition) == 0:
			denied = append(denied, services...)
		}
	}
	allowed = slices.DeleteFunc(allowed, func(s string) bool { return slices.Contains(denied, s) })
	slices.Sort(allowed)
	return slices.Compact(allowed), nil
}

func assumes(action string) bool {
	a := strings.ToLower(action)
	return a == "sts:assumerole" || a == "sts:*" || a == "*" || a == "sts:assume*"
}

// services checks a statement and gives its service principals.
func (s *trustStatement) services() ([]string, error) {
	switch {
	case s.Effect != "Allow" && s.Effect != "Deny":
		return nil, ssmrun.Errorf(CodeMalformedPolicy, "Effect of a statement is neither Allow nor Deny.")
	case len(s.Resource) > 0 || len(s.NotResource) > 0:
		return nil, ssmrun.Errorf(CodeMalformedPolicy, "Has prohibited field Resource")
	case len(s.NotPrincipal) > 0 || len(s.NotAction) > 0:
		return nil, ssmrun.Errorf(CodeMalformedPolicy, "This service reads trust policies with Principal and Action, not with NotPrincipal or NotAction.")
	case len(s.Principal) == 0:
		return nil, ssmrun.Errorf(CodeMalformedPolicy, "Missing required field Principal")
	case len(s.Action) == 0:
		return nil, ssmrun.Errorf(CodeMalformedPolicy, "Missing required field Action")
	}
	for _, a := range s.Action {
		if l := strings.ToLower(a); !strings.HasPrefix(l, "sts:") && l != "*" {
			return nil, ssmrun.Errorf(CodeMalformedPolicy, "AssumeRole policy may only specify STS AssumeRole actions.")
		}
	}
	if string(s.Principal) == `"*"` {
		return nil, nil // everybody is no service
	}
	var p struct{ Service, AWS, Federated, CanonicalUser oneOrMany }
	if err := json.Unmarshal(s.Principal, &p); err != nil {
		return nil, ssmrun.Errorf(CodeMalformedPolicy, "Principal of a statement is neither \"*\" nor an object with Service, AWS or Federated.")
	}
	for _, name := range p.Service {
		if !strings.HasSuffix(name, ".amazonaws.com") {
			return nil, ssmrun.Errorf(CodeMalformedPolicy, "Invalid principal in policy: \"SERVICE\":\"%s\"", ssmrun.Head(name, 100))
		}
	}
	return p.Service, nil
}
