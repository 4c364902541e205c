package awsapi

import (
	"bytes"
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"

	"ssmrun"
)

// Namespaces of the Query services' answers.
const (
	stsNamespace = "https://sts.amazonaws.com/doc/" + stsVersion + "/"
	ec2Namespace = "http://ec2.amazonaws.com/doc/" + ec2Version + "/"
)

// Versions of the Query services. A call that names another is refused; whether
// AWS takes one that names none was not seen, and it is taken here.
const (
	stsVersion = "2011-06-15"
	ec2Version = "2016-11-15"
)

// maxFormFields bounds the fields of a Query body: each becomes many times what
// it is long. The largest call that is accepted names a thousand ids.
const maxFormFields = 10_000

// QueryOperation reads the Action of a Query body.
func QueryOperation(body []byte) (form url.Values, action string, err error) {
	if bytes.Count(body, []byte("&")) >= maxFormFields {
		return nil, "", ssmrun.Errorf("MalformedQueryString", "The body has more than %d fields.", maxFormFields)
	}
	form, err = url.ParseQuery(string(body))
	if action = form.Get("Action"); err != nil || action == "" {
		return nil, "", ssmrun.Errorf("MissingAction", "The body is not a form with an Action.")
	}
	return form, action, nil
}

// STS answers a call of the Security Token Service.
func (a *API) STS(_ context.Context, c *Call, form url.Values) (any, error) {
	version := form.Get("Version")
	if version == "" {
		version = stsVersion
	}
	action := c.Operation
	if version != stsVersion {
		action = ""
	}
	switch action {
	case "AssumeRole":
		return a.assumeRole(c, form)
	case "GetCallerIdentity":
		return callerIdentity(c), nil
	default:
		return nil, ssmrun.Errorf("InvalidAction", "Could not find operation %s for version %s", clipped(c.Operation), clipped(version))
	}
}

func callerIdentity(c *Call) any {
	var out struct {
		XMLName xml.Name `xml:"GetCallerIdentityResponse"`
		Space   string   `xml:"xmlns,attr"`
		Arn     string   `xml:"GetCallerIdentityResult>Arn"`
		UserId  string   `xml:"GetCallerIdentityResult>UserId"`
		Account string   `xml:"GetCallerIdentityResult>Account"`
		Request string   `xml:"ResponseMetadata>RequestId"`
	}
	out.Space = stsNamespace
	out.Arn, out.UserId, out.Account = c.Caller.ARN, c.Caller.UserID, c.Caller.Account
	out.Request = c.Answer.Get(HeaderRequestID)
	return out
}

// EC2 answers a call of EC2.
func (a *API) EC2(ctx context.Context, c *Call, form url.Values) (any, error) {
	if v := form.Get("Version"); v != "" && v != ec2Version {
		return nil, ssmrun.Errorf("NoSuchVersion", "The requested version (%s) of service AmazonEC2 does not exist", clipped(v))
	}
	if c.Operation != "DescribeInstances" {
		return nil, ssmrun.Errorf("InvalidAction", "The action %s is not valid for this web service.", clipped(c.Operation))
	}
	return a.describeInstances(ctx, c, form)
}

// HeaderRequestID carries the id of a request in every answer.
const HeaderRequestID = "X-Amzn-Requestid"

// WriteXML answers a Query call.
func WriteXML(w http.ResponseWriter, out any) {
	b, err := xml.Marshal(out)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	_, _ = w.Write([]byte(xml.Header))
	_, _ = w.Write(b)
}

// queryCodes are the codes that Query services spell without the suffix that
// JSON services have.
var queryCodes = map[ssmrun.Code]string{
	ssmrun.CodeInternal:            "InternalFailure",
	ssmrun.CodeMissingAuth:         "MissingAuthenticationToken",
	ssmrun.CodeIncompleteSignature: "IncompleteSignature",
	ssmrun.CodeInvalidSignature:    "SignatureDoesNotMatch",
	ssmrun.CodeUnrecognizedClient:  "InvalidClientTokenId",
	ssmrun.CodeExpiredToken:        "ExpiredToken",
	ssmrun.CodeAccessDenied:        "AccessDenied",
	ssmrun.CodeValidation:          "ValidationError",
}

// ec2Codes are those that EC2 spells yet otherwise.
var ec2Codes = map[ssmrun.Code]string{
	ssmrun.CodeUnrecognizedClient: "AuthFailure",
	ssmrun.CodeInvalidSignature:   "AuthFailure",
	ssmrun.CodeExpiredToken:       "RequestExpired",
	ssmrun.CodeAccessDenied:       "UnauthorizedOperation",
}

// WriteQueryError answers a Query call of a service (sts, ec2, iam) with an error.
func WriteQueryError(w http.ResponseWriter, service string, err error) {
	row := rowOf(err)
	code := string(row.code)
	if c, ok := queryCodes[row.code]; ok {
		code = c
	}
	if service == "ec2" {
		if c, ok := ec2Codes[row.code]; ok {
			code = c
		}
	}
	id := w.Header().Get(HeaderRequestID)
	var out any
	if service == "ec2" {
		out = struct {
			XMLName xml.Name `xml:"Response"`
			Code    string   `xml:"Errors>Error>Code"`
			Message string   `xml:"Errors>Error>Message"`
			Request string   `xml:"RequestID"`
		}{Code: code, Message: row.message(err), Request: id}
	} else {
		space := stsNamespace
		if service == "iam" {
			space = iamNamespace
		}
		out = struct {
			XMLName xml.Name `xml:"ErrorResponse"`
			Space   string   `xml:"xmlns,attr"`
			Type    string   `xml:"Error>Type"`
			Code    string   `xml:"Error>Code"`
			Message string   `xml:"Error>Message"`
			Request string   `xml:"RequestId"`
		}{Space: space, Type: row.fault, Code: code, Message: row.message(err), Request: id}
	}
	b, _ := xml.Marshal(out) // strings only: cannot fail
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	status := row.status
	if strings.HasPrefix(string(row.code), "UnrecognizedClient") || row.code == ssmrun.CodeInvalidSignature || row.code == ssmrun.CodeAccessDenied {
		status = http.StatusForbidden
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(xml.Header))
	_, _ = w.Write(b)
}
