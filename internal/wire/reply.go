package wire

// Status words of a reply's document and plugins.
const (
	StatusInProgress       = "InProgress"
	StatusSuccess          = "Success"
	StatusFailed           = "Failed"
	StatusTimedOut         = "TimedOut"
	StatusCancelled        = "Cancelled"
	StatusSkipped          = "Skipped"          // plugins only: precondition not met
	StatusSuccessAndReboot = "SuccessAndReboot" // the host restarts and the same job goes on
)

// Reply is what an agent tells about a command. The first is InProgress with no
// plugins, then one comes per finished plugin, then the final one. They may come
// twice and in any order, and the final one may leave out plugins that were told
// before: a reader keeps a terminal status and merges plugins by name.
type Reply struct {
	AdditionalInfo AdditionalInfo `json:"additionalInfo"`
	// DocumentStatus is one of the status words.
	DocumentStatus      string `json:"documentStatus"`
	DocumentTraceOutput string `json:"documentTraceOutput"`
	// RuntimeStatus is by the plugin's name in the document: the step's name in
	// schema 2.x, the plugin's in 1.2. Null in the first reply.
	RuntimeStatus map[string]PluginStatus `json:"runtimeStatus"`
}

func (r *Reply) check() error { return missing("documentStatus", r.DocumentStatus) }

// AdditionalInfo says who replies, and when.
type AdditionalInfo struct {
	Agent    AgentInfo `json:"agent"`
	DateTime string    `json:"dateTime"`
	RunID    string    `json:"runId"`
	// RuntimeStatusCounts is how many plugins have each status.
	RuntimeStatusCounts map[string]int `json:"runtimeStatusCounts"`
	// AbleToOpenMGSConnection is told over long polls only.
	AbleToOpenMGSConnection *bool `json:"ableToOpenMGSConnection,omitempty"`
}

// AgentInfo names the agent's software and system.
type AgentInfo struct {
	Lang      string `json:"lang"`
	Name      string `json:"name"`
	OS        string `json:"os"`
	OSVersion string `json:"osver"`
	Version   string `json:"ver"`
}

// PluginStatus is one step's result.
type PluginStatus struct {
	Status string `json:"status"`
	// Code is the exit code; 137 for a step that was killed.
	Code int `json:"code"`
	// Name is the plugin's: aws:runShellScript.
	Name string `json:"name"`
	// Output is both streams joined, cut to 2,500 characters.
	Output string `json:"output"`
	// StartDateTime and EndDateTime are as FormatTime writes them.
	StartDateTime      string `json:"startDateTime"`
	EndDateTime        string `json:"endDateTime"`
	OutputS3BucketName string `json:"outputS3BucketName"`
	OutputS3KeyPrefix  string `json:"outputS3KeyPrefix"`
	// StepName is the last part of the key prefix in S3, "" where nothing is
	// uploaded.
	StepName string `json:"stepName"`
	// StandardOutput and StandardError hold up to 24,000 characters each.
	StandardOutput string `json:"standardOutput"`
	StandardError  string `json:"standardError"`
}
