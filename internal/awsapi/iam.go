package awsapi

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"regexp"
	"strconv"

	"ssmrun"
	"ssmrun/internal/identity"
)

const (
	iamVersion   = "2010-05-08"
	iamNamespace = "https://iam.amazonaws.com/doc/" + iamVersion + "/"
)

// iamOperation is one row of IAM's table: the shape of its input, and what it
// does.
type iamOperation struct {
	input []member
	run   func(context.Context, *Call, *iamInput) (any, error)
}

// iamInput is what the calls of IAM say, after their shapes were checked.
type iamInput struct {
	RoleName, Path, PathPrefix, Description, AssumeRolePolicyDocument, PolicyDocument, PolicyArn, Marker string
	MaxSessionDuration, MaxItems                                                                         int

	form url.Values
}

func (a *API) iamOperations() map[string]iamOperation {
	role := required("RoleName", iamRoleName)
	page := []member{optional("Marker", iamMarker), optional("MaxItems", iamMaxItems)}
	ofRole := append([]member{role}, page...)
	with := func(members ...member) []member { return append([]member{role}, members...) }
	return map[string]iamOperation{
		"CreateRole": {with(required("AssumeRolePolicyDocument", iamPolicyText), optional("Path", iamPath),
			optional("Description", iamDescription), optional("MaxSessionDuration", iamSession)), a.createRole},
		"GetRole": {with(), a.getRole},
		"UpdateRole": {with(optional("Description", iamDescription),
			optional("MaxSessionDuration", iamSession)), a.updateRole},
		"UpdateRoleDescription":       {with(required("Description", iamDescription)), a.updateRoleDescription},
		"DeleteRole":                  {with(), a.deleteRole},
		"UpdateAssumeRolePolicy":      {with(required("PolicyDocument", iamPolicyText)), a.updateAssumeRolePolicy},
		"ListRoles":                   {append([]member{optional("PathPrefix", iamPathPrefix)}, page...), a.listRoles},
		"AttachRolePolicy":            {with(required("PolicyArn", iamARN)), a.attachRolePolicy},
		"DetachRolePolicy":            {with(required("PolicyArn", iamARN)), a.detachRolePolicy},
		"ListAttachedRolePolicies":    {append(ofRole, optional("PathPrefix", iamPathPrefix)), a.listAttachedRolePolicies},
		"ListRolePolicies":            {ofRole, a.listRolePolicies},
		"ListInstanceProfilesForRole": {ofRole, a.listInstanceProfilesForRole},
		"ListRoleTags":                {ofRole, a.listRoleTags},
		"TagRole":                     {with(), a.tagRole},
		"UntagRole":                   {with(), a.untagRole},
	}
}

// The shapes of the members, after the model of IAM.
var (
	iamRoleName    = iamText(1, 64, `[\w+=,.@-]+`, ``)
	iamPath        = iamText(1, 512, `(\u002F)|(\u002F[\u0021-\u007E]+\u002F)`, `(/)|(/[!-~]+/)`)
	iamPathPrefix  = iamText(1, 512, `\u002F[\u0021-\u007F]*`, `/[!-\x7f]*`)
	iamDescription = iamText(0, 1000, `[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*`, `[\t\n\r -~\x{a1}-\x{ff}]*`)
	iamPolicyText  = iamText(1, 131072, `[\u0009\u000A\u000D\u0020-\u00FF]+`, `[\t\n\r -\x{ff}]+`)
	iamARN         = iamText(20, 2048, ``, ``)
	iamMarker      = iamText(1, 2048, `[\u0020-\u00FF]+`, `[ -\x{ff}]+`)
	iamMaxItems    = iamNumber(1, 1000)
	iamSession     = iamNumber(3600, 43200)
)

// iamText is a shape of text with a pattern as the model spells it, and as Go
// does where the two differ.
func iamText(least, most int, pattern, compiles string) *shape {
	s := &shape{kind: text, min: &least, max: &most}
	if compiles == "" {
		compiles = pattern
	}
	if pattern != "" {
		s.pattern = &shapePattern{text: pattern, matches: regexp.MustCompile(`^(?:` + compiles + `)$`).MatchString}
	}
	return s
}

func iamNumber(least, most int) *shape { return &shape{kind: integer, min: &least, max: &most} }

func required(name string, s *shape) member {
	return member{name: name, at: lowerFirst(name), required: true, shape: s}
}

func optional(name string, s *shape) member {
	return member{name: name, at: lowerFirst(name), shape: s}
}

// IAM answers a call of Identity and Access Management: the roles of the caller's
// account, in all regions. There are no users, groups, instance profiles or
// policies of one's own.
func (a *API) IAM(ctx context.Context, c *Call, form url.Values) (any, error) {
	version := form.Get("Version")
	if version == "" {
		version = iamVersion
	}
	op, ok := a.iam[c.Operation]
	if !ok || version != iamVersion {
		return nil, ssmrun.Errorf("InvalidAction", "Could not find operation %s for version %s", clipped(c.Operation), clipped(version))
	}
	body, err := checkForm(c.Operation, op.input, form)
	if err != nil {
		return nil, err
	}
	in := iamInput{form: form}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "The input of %s cannot be read.", c.Operation)
	}
	c.Subject.Role = in.RoleName
	// Places in lists are the account's, whatever region signed.
	c.Scope.Region = ""
	return op.run(ctx, c, &in)
}

// checkForm checks the members of a form against their shapes and gives them as
// JSON.
func checkForm(operation string, members []member, form url.Values) ([]byte, error) {
	values := map[string]any{}
	for _, m := range members {
		if !form.Has(m.name) {
			continue
		}
		values[m.name] = form.Get(m.name)
		if m.shape.kind == integer {
			if _, err := strconv.Atoi(form.Get(m.name)); err != nil {
				return nil, ssmrun.Errorf(ssmrun.CodeValidation, "%s: %s is no number.", m.name, clipped(form.Get(m.name)))
			}
			values[m.name] = json.Number(form.Get(m.name))
		}
	}
	body, err := json.Marshal(values)
	if err != nil { // a number that JSON spells otherwise
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "The input of %s has a number that is none.", operation)
	}
	s := shape{kind: structure, name: operation + "Request", members: members}
	if body, err = s.check(body); ssmrun.ErrorCode(err) == ssmrun.CodeSerialization {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "%s", ssmrun.ErrorMessage(err))
	}
	return body, err
}

// iamAnswer is the frame of every answer: <NAMEResponse> around <NAMEResult>.
type iamAnswer struct {
	operation, request string
	result             any // nil for operations without one
}

func answerIAM(c *Call, result any) iamAnswer {
	return iamAnswer{operation: c.Operation, request: c.Answer.Get(HeaderRequestID), result: result}
}

// MarshalXML implements xml.Marshaler.
func (r iamAnswer) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	start := xml.StartElement{
		Name: xml.Name{Local: r.operation + "Response"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: iamNamespace}},
	}
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	if r.result != nil {
		if err := e.EncodeElement(r.result, xml.StartElement{Name: xml.Name{Local: r.operation + "Result"}}); err != nil {
			return err
		}
	}
	var metadata struct {
		Request string `xml:"RequestId"`
	}
	metadata.Request = r.request
	if err := e.EncodeElement(metadata, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}}); err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}

// tags reads Tags.member.N.
func (in *iamInput) tags() (map[string]string, error) {
	var list []tagJSON
	for n := 1; in.form.Has("Tags.member." + strconv.Itoa(n) + ".Key"); n++ {
		at := "Tags.member." + strconv.Itoa(n)
		t := tagJSON{in.form.Get(at + ".Key"), in.form.Get(at + ".Value")}
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 {
			return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Tags: the tag %s cannot be: a key has 1 to 128 characters, a value up to 256.", clipped(t.Key))
		}
		list = append(list, t)
	}
	return tagsIn(list, "InvalidInput")
}

func manyTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return ssmrun.Errorf(identity.CodeLimitExceeded, "The number of tags has reached the maximum limit: a role can have %d.", maxTags)
	}
	return nil
}
