package awsapi

import (
	"encoding/json"
	"encoding/xml"
	"net/url"
	"regexp"
	"strings"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
)

// Bounds of DurationSeconds. A session that was itself assumed gets an hour at
// most, as role chaining does on AWS.
const (
	defaultSession = time.Hour
	maxChained     = time.Hour
)

// assumeRoleInput is the part of the input that has constraints, after the
// model of STS (2011-06-15).
var assumeRoleInput = func() []member {
	n := func(i int) *int { return &i }
	pattern := func(least, most int, form string) *shape {
		return &shape{kind: text, min: n(least), max: n(most), pattern: newShapePattern(form)}
	}
	return []member{
		{name: "RoleArn", at: "roleArn", required: true, shape: &shape{kind: text, min: n(20), max: n(2048)}},
		{name: "RoleSessionName", at: "roleSessionName", required: true, shape: pattern(2, 64, `[\w+=,.@-]*`)},
		{name: "DurationSeconds", at: "durationSeconds", shape: &shape{kind: integer, min: n(900), max: n(43200)}},
		{name: "ExternalId", at: "externalId", shape: pattern(2, 1224, `[\w+=,.@:\/-]*`)},
		{name: "SourceIdentity", at: "sourceIdentity", shape: pattern(2, 64, `[\w+=,.@-]*`)},
	}
}()

var roleARN = regexp.MustCompile(`^arn:aws:iam::([0-9]{12}):role/(?:[\x21-\x7e]*/)?([\w+=,.@-]{1,64})$`)

type assumeRoleResponse struct {
	XMLName xml.Name `xml:"AssumeRoleResponse"`
	Space   string   `xml:"xmlns,attr"`
	Result  struct {
		UserARN    string `xml:"AssumedRoleUser>Arn"`
		UserID     string `xml:"AssumedRoleUser>AssumedRoleId"`
		Key        string `xml:"Credentials>AccessKeyId"`
		Secret     string `xml:"Credentials>SecretAccessKey"`
		Token      string `xml:"Credentials>SessionToken"`
		Expiration string `xml:"Credentials>Expiration"`
		Source     string `xml:"SourceIdentity,omitempty"`
	} `xml:"AssumeRoleResult"`
	Request string `xml:"ResponseMetadata>RequestId"`
}

type assumeRoleRequest struct {
	RoleArn         string
	RoleSessionName string
	DurationSeconds int
	SourceIdentity  string
}

// assumeRole gives a caller keys of a role. There are no trust policies: roles
// of the service's accounts can be assumed by whoever has its key.
func (a *API) assumeRole(c *Call, form url.Values) (any, error) {
	in, err := readAssumeRole(form)
	if err != nil {
		return nil, err
	}
	c.Subject.Role = in.RoleArn
	parts := roleARN.FindStringSubmatch(in.RoleArn)
	if parts == nil {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "Request ARN is invalid")
	}
	if c.Caller.Agent() || !a.cfg.Identity.HasAccount(parts[1]) {
		return nil, ssmrun.Errorf(ssmrun.CodeAccessDenied, "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.Caller.ARN, in.RoleArn)
	}
	life := time.Duration(in.DurationSeconds) * time.Second
	switch {
	case life == 0:
		life = defaultSession
	case c.Caller.Assumed && life > maxChained:
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
	}
	key, user, err := a.cfg.Identity.AssumeRole(identity.RoleSession{Account: parts[1], Role: parts[2], Session: in.RoleSessionName, Life: life})
	if err != nil {
		return nil, err
	}
	out := assumeRoleResponse{Space: stsNamespace, Request: c.Answer.Get(HeaderRequestID)}
	r := &out.Result
	r.UserARN, r.UserID = user.ARN, user.UserID
	r.Key, r.Secret, r.Token = key.AccessKeyID, key.Secret, key.SessionToken
	r.Expiration = key.Expires.UTC().Format(time.RFC3339)
	r.Source = in.SourceIdentity
	return out, nil
}

// readAssumeRole reads the input. What would narrow a session is refused rather
// than ignored: there are no policies that could be narrowed. Session tags and an
// external id change nothing, and are taken.
func readAssumeRole(form url.Values) (*assumeRoleRequest, error) {
	body, err := checkForm("AssumeRole", assumeRoleInput, form)
	if err != nil {
		return nil, err
	}
	for key := range form {
		name, _, _ := strings.Cut(key, ".")
		switch name {
		case "Policy", "PolicyArns", "ProvidedContexts", "SerialNumber", "TokenCode":
			return nil, ssmrun.Errorf(ssmrun.CodeValidation, "%s: this service has neither session policies nor MFA, and a role's session may do all that the service's key may. Leave %s out.", name, name)
		}
	}
	var in assumeRoleRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, ssmrun.Errorf(ssmrun.CodeValidation, "The input of AssumeRole cannot be read.")
	}
	return &in, nil
}
