package awsapi

import (
	"testing"

	"ssmrun"
)

// TestPageTokens: a token is good for the question it answered, and no other.
func TestPageTokens(t *testing.T) {
	t.Parallel()
	a := New(Config{})
	call := func(operation, region, body string) *Call {
		return &Call{Operation: operation, Scope: ssmrun.Scope{Account: "000000000000", Region: region}, Body: []byte(body)}
	}
	const asked = `{"Filters":[{"key":"Status","value":"Failed"}],"MaxResults":10}`
	token := a.next(call("ListCommands", "us-east-1", asked), "place")
	for name, c := range map[string]*Call{
		"the same":                  call("ListCommands", "us-east-1", asked),
		"another size of the page":  call("ListCommands", "us-east-1", `{"NextToken":"x","MaxResults":2,"Filters":[{"key":"Status","value":"Failed"}]}`),
		"!another filter":           call("ListCommands", "us-east-1", `{"Filters":[{"key":"Status","value":"Success"}]}`),
		"!another operation":        call("ListCommandInvocations", "us-east-1", asked),
		"!another region":           call("ListCommands", "eu-west-1", asked),
		"!without what was asked":   call("ListCommands", "us-east-1", ``),
		"!with more than was asked": call("ListCommands", "us-east-1", `{"CommandId":"c","Filters":[{"key":"Status","value":"Failed"}]}`),
	} {
		page, err := a.page(c, 7, token)
		if want := name[0] != '!'; want != (err == nil) || want && (page.Token != "place" || page.Limit != 7) {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
	}
	for _, forged := range []string{"x", ".", ".place", "AAAAAAAAAAAAAAAAAAAAAA.place", token + "x", token[1:], "*" + token} {
		if _, err := a.page(call("ListCommands", "us-east-1", asked), 1, forged); ssmrun.ErrorCode(err) != ssmrun.CodeInvalidNextToken {
			t.Errorf("%q: %v", forged, err)
		}
	}
	for _, body := range []string{"", " \n", "{}"} {
		checked, err := inputs()["ListCommands"].check([]byte(body))
		if err != nil || a.next(call("ListCommands", "us-east-1", string(checked)), "p") != a.next(call("ListCommands", "us-east-1", "{}"), "p") {
			t.Errorf("%q is another question than {}: %q, %v", body, checked, err)
		}
	}
	if a.next(call("ListCommands", "us-east-1", asked), "") != "" {
		t.Error("the last page has a token")
	}
}
