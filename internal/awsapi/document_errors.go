package awsapi

import "ssmrun"

// Codes of the operations of documents.
const (
	CodeDocumentAlreadyExists        ssmrun.Code = "DocumentAlreadyExists"
	CodeDocumentLimitExceeded        ssmrun.Code = "DocumentLimitExceeded"
	CodeDocumentVersionLimitExceeded ssmrun.Code = "DocumentVersionLimitExceeded"
	CodeDocumentPermissionLimit      ssmrun.Code = "DocumentPermissionLimit"
	CodeDuplicateDocumentContent     ssmrun.Code = "DuplicateDocumentContent"
	CodeDuplicateDocumentVersionName ssmrun.Code = "DuplicateDocumentVersionName"
	CodeInvalidDocumentOperation     ssmrun.Code = "InvalidDocumentOperation"
)
