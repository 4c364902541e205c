package runner

import "time"

// Defaults of a Request.
const (
	// DefaultTimeout is how long a run waits where Request.Timeout is 0.
	DefaultTimeout = 30 * time.Minute
	// DefaultWaitForInstances is how long the Terraform action waits for
	// instances that were just created. A Request waits only if it says so.
	DefaultWaitForInstances = 5 * time.Minute
)

// Request is one run: a document, and the instances it shall run on.
type Request struct {
	// InstanceIDs are i-… or mi-… ids, each once. More than 50 are sent as
	// several commands of at most 50 each, at the same time, and tracked as one
	// run; SendCommand itself takes no more.
	InstanceIDs []string
	// Document is the name or ARN of a Command document.
	Document string
	// DocumentVersion is a number, $DEFAULT or $LATEST; "" is $DEFAULT.
	DocumentVersion string
	// Parameters are the document's, as loosely as a caller has them: a value is
	// a string, bool, number (any Go integer or float, json.Number), a list
	// ([]string, []any) or a map (map[string]any; sent as JSON). A scalar is a
	// list of one; nil is left out. They are converted by the types that the
	// document declares.
	Parameters map[string]any

	// OutputBucket takes the whole output; "" for none. OutputPrefix is the
	// start of the keys. OutputRegion is the bucket's; "" finds it out.
	OutputBucket, OutputPrefix, OutputRegion string

	// Timeout is how long to wait for the end, counted from SendCommand's
	// answer; 0 is DefaultTimeout. It is also the delivery timeout, so that
	// nothing starts after it.
	Timeout time.Duration
	// WaitForInstances is how long to wait for instances that are booting or
	// have lost their connection, before anything is sent; 0 refuses them at
	// once. It is not part of Timeout.
	WaitForInstances time.Duration

	// Comment is shown by ListCommands; at most MaxComment characters, because
	// the run's token shares the field.
	Comment string
	// MaxConcurrency and MaxErrors are SendCommand's, a number or a percentage.
	// "" is the service's default of 50 for the first and 100% for the second:
	// every named instance gets the command, whatever happens on the others.
	// With more than 50 instances only percentages are taken, since a number
	// would count in each command apart.
	MaxConcurrency, MaxErrors string

	// Outputs says whose output is fetched in full; the zero value is the
	// failed instances'.
	Outputs Outputs
	// Each asks for an InstanceDone event as each instance ends. It costs one
	// ListCommandInvocations page whenever the counts changed.
	Each bool
}

// Outputs says whose output a run fetches in full (24,000 characters of stdout,
// 8,000 of stderr). What is not fetched in full is the head that
// ListCommandInvocations shows: 2,500 characters of both.
type Outputs int

// The values of Outputs.
const (
	OutputsOfFailed Outputs = iota
	OutputsOfAll
)

// Field names an argument of a Request, as the Terraform action spells it. The
// command line's flags have the same names with hyphens.
type Field string

// The fields that a Problem can be about.
const (
	FieldInstanceIDs      Field = "instance_ids"
	FieldDocument         Field = "document_name"
	FieldDocumentVersion  Field = "document_version"
	FieldParameters       Field = "parameters"
	FieldOutputBucket     Field = "output_s3_bucket"
	FieldOutputPrefix     Field = "output_s3_prefix"
	FieldOutputRegion     Field = "output_s3_region"
	FieldTimeout          Field = "timeout"
	FieldWaitForInstances Field = "wait_for_instances"
	FieldComment          Field = "comment"
	FieldMaxConcurrency   Field = "max_concurrency"
	FieldMaxErrors        Field = "max_errors"
	FieldRegion           Field = "region"
	FieldCommandID        Field = "command_id" // of Show and Cancel
)

// Problem is one thing that is wrong with a request.
type Problem struct {
	Field Field
	// Subject is what of the field it is about: an instance id, the name of a
	// parameter; "" for the field as a whole. Never a parameter's value.
	Subject string
	// Summary says what is wrong, in one sentence without a full stop.
	Summary string
	// Advice says what to do, in one sentence; "" where the summary says it.
	Advice string
}

// String is the problem in one line: field, what is wrong, what to do.
func (p Problem) String() string {
	s := string(p.Field) + ": " + p.Summary
	if p.Advice != "" {
		s += ". " + p.Advice
	}
	return s
}
