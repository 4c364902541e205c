package identity

import (
	"regexp"
	"slices"
	"strings"
)

const awsPolicies = "arn:aws:iam::aws:policy/"

// CorePolicy is the managed policy that an instance's role needs.
const CorePolicy = awsPolicies + coreName

const coreName = "AmazonSSMManagedInstanceCore"

// carrying are the managed policies with which an agent may work: the core
// policy and those that contain its permissions.
var carrying = []string{
	CorePolicy,
	awsPolicies + "service-role/AmazonEC2RoleforSSM",
	awsPolicies + "AmazonSSMManagedEC2InstanceDefaultPolicy",
	awsPolicies + "PowerUserAccess",
	awsPolicies + "AdministratorAccess",
}

// ssmPolicies are Systems Manager's other policies. They are known by name so
// that a slip in one, or in that of the core policy, is found when it is attached
// and not when an agent is refused.
var ssmPolicies = []string{
	awsPolicies + "AmazonSSMFullAccess",
	awsPolicies + "AmazonSSMReadOnlyAccess",
	awsPolicies + "AmazonSSMPatchAssociation",
	awsPolicies + "AmazonSSMDirectoryServiceAccess",
	awsPolicies + "AmazonSSMAutomationApproverAccess",
	awsPolicies + "service-role/AmazonSSMAutomationRole",
	awsPolicies + "service-role/AmazonSSMMaintenanceWindowRole",
}

var awsPolicy = regexp.MustCompile(`^arn:aws:iam::aws:policy/(?:(?:service-role|job-function)/)?([\w+=,.@-]{1,128})$`)

// Attachable tells whether there is a managed policy of this ARN: AWS's own.
// Which of those there are is known for Systems Manager only; others are taken by
// their form, and give a role nothing here.
func Attachable(arn string) bool {
	if slices.Contains(carrying, arn) || slices.Contains(ssmPolicies, arn) {
		return true
	}
	name := policyName(arn)
	if name == "" || strings.HasPrefix(name, "AmazonSSM") {
		return false
	}
	// A known name below another path is not there.
	return !slices.ContainsFunc(carrying, func(known string) bool { return policyName(known) == name })
}

func policyName(arn string) string {
	if m := awsPolicy.FindStringSubmatch(arn); m != nil {
		return m[1]
	}
	return ""
}

// PolicyARN gives the ARN of a policy of AWS's that is named by its name, with
// its path where it has one, or by its ARN. false where there is none.
func PolicyARN(name string) (string, bool) {
	for _, arn := range append(slices.Clone(carrying), ssmPolicies...) {
		if policyName(arn) == name {
			return arn, true
		}
	}
	if !strings.HasPrefix(name, "arn:") {
		name = awsPolicies + name
	}
	return name, Attachable(name)
}

// carries tells whether one of the policies lets an agent work.
func carries(policies []string) bool {
	return slices.ContainsFunc(policies, func(arn string) bool { return slices.Contains(carrying, arn) })
}
