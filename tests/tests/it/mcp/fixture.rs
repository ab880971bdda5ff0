//! What the protocol's conformance suite expects of every server: tools, resources and prompts of fixed names.

#![expect(deprecated, reason = "the suite tries what the newest revision has left behind")]

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientResult, CompleteRequestParams,
    CompleteResult, CompletionInfo, ContentBlock, ErrorData, GetPromptRequestParams, GetPromptResponse,
    GetPromptResult, InitializeResult, JsonObject, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, Prompt,
    PromptArgument, PromptMessage, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    Resource, ResourceContents, ResourceTemplate, Role, ServerCapabilities, ServerNotification,
    ServerRequest, SetLevelRequestParams, SubscribeRequestParams, Tool, UnsubscribeRequestParams,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{Peer, ServerHandler};
use serde_json::{Value, json};

type Context = RequestContext<RoleServer>;
type Page = Option<PaginatedRequestParams>;

/// One red pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// No sound at all.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
/// Between the steps of what takes a while.
const STEP: Duration = Duration::from_millis(50);

#[derive(Default)]
pub(crate) struct Fixture;

fn schema(value: Value) -> JsonObject {
    value.as_object().cloned().unwrap()
}

fn tool_schemas() -> Vec<(&'static str, Value)> {
    let nothing = || json!({"type": "object", "properties": {}});
    let one =
        |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
    vec![
        ("test_simple_text", nothing()),
        ("test_image_content", nothing()),
        ("test_audio_content", nothing()),
        ("test_embedded_resource", nothing()),
        ("test_multiple_content_types", nothing()),
        ("test_tool_with_logging", nothing()),
        ("test_tool_with_progress", nothing()),
        ("test_error_handling", nothing()),
        ("test_reconnection", nothing()),
        ("test_sampling", one("prompt")),
        ("test_elicitation", one("message")),
        ("test_elicitation_sep1034_defaults", nothing()),
        ("test_elicitation_sep1330_enums", nothing()),
        (
            "json_schema_2020_12_tool",
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
                "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
                "additionalProperties": false
            }),
        ),
    ]
}

fn text(text: impl Into<String>) -> ContentBlock {
    ContentBlock::text(text)
}

fn embedded(uri: &str, mime_type: &str, content: &str) -> ContentBlock {
    ContentBlock::resource(ResourceContents::text(content, uri).with_mime_type(mime_type))
}

/// Asks the client for something, and answers with what it says.
async fn ask(peer: &Peer<RoleServer>, method: &str, params: Value) -> Result<Value, ErrorData> {
    let request: ServerRequest = serde_json::from_value(json!({"method": method, "params": params})).unwrap();
    let answer: ClientResult = peer
        .send_request(request)
        .await
        .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(serde_json::to_value(answer).unwrap())
}

async fn elicited(
    peer: &Peer<RoleServer>,
    message: &str,
    properties: Value,
    required: Value,
) -> Result<Value, ErrorData> {
    let mut wanted = json!({"type": "object", "properties": properties});
    if !required.is_null() {
        wanted["required"] = required;
    }
    ask(peer, "elicitation/create", json!({"message": message, "requestedSchema": wanted})).await
}

async fn log(peer: &Peer<RoleServer>, message: &str) {
    let notice = json!({"method": "notifications/message", "params": {"level": "info", "data": message}});
    let notice: ServerNotification = serde_json::from_value(notice).unwrap();
    drop(peer.send_notification(notice).await);
}

/// What tools answer that do nothing but answer.
fn content(name: &str) -> Option<Vec<ContentBlock>> {
    Some(vec![match name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => ContentBlock::image(PNG, "image/png"),
        "test_audio_content" => ContentBlock::audio(WAV, "audio/wav"),
        "test_embedded_resource" => {
            embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")
        }
        "test_multiple_content_types" => {
            return Some(vec![
                text("Multiple content types test:"),
                ContentBlock::image(PNG, "image/png"),
                embedded(
                    "test://mixed-content-resource",
                    "application/json",
                    r#"{"test":"data","value":123}"#,
                ),
            ]);
        }
        "json_schema_2020_12_tool" => text("JSON Schema 2020-12"),
        _ => return None,
    }])
}

async fn call(name: &str, arguments: &JsonObject, context: &Context) -> Result<Vec<ContentBlock>, ErrorData> {
    let peer = &context.peer;
    let given = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let done = |answer: &Value| {
        text(format!(
            "Elicitation completed: action={}, content={}",
            answer["action"].as_str().unwrap_or_default(),
            answer["content"]
        ))
    };
    if let Some(content) = content(name) {
        return Ok(content);
    }
    Ok(vec![match name {
        "test_tool_with_logging" => {
            log(peer, "Tool execution started").await;
            tokio::time::sleep(STEP).await;
            log(peer, "Tool processing data").await;
            tokio::time::sleep(STEP).await;
            log(peer, "Tool execution completed").await;
            text("Tool with logging executed successfully")
        }
        "test_tool_with_progress" => {
            for progress in [0.0, 50.0, 100.0] {
                if let Some(token) = context.meta.get_progress_token() {
                    let notice = ProgressNotificationParam::new(token, progress).with_total(100.0);
                    drop(peer.notify_progress(notice).await);
                }
                tokio::time::sleep(STEP).await;
            }
            text("Tool with progress executed successfully")
        }
        "test_reconnection" => {
            tokio::time::sleep(STEP).await;
            text("Reconnection test completed successfully")
        }
        "test_sampling" => {
            let message = json!({"role": "user", "content": {"type": "text", "text": given("prompt")}});
            let answer =
                ask(peer, "sampling/createMessage", json!({"messages": [message], "maxTokens": 100})).await?;
            text(format!("LLM response: {}", answer["content"]["text"].as_str().unwrap_or_default()))
        }
        "test_elicitation" => {
            let properties = json!({
                "username": {"type": "string", "description": "User's response"},
                "email": {"type": "string", "description": "User's email address"},
            });
            let answer = elicited(peer, given("message"), properties, json!(["username", "email"])).await?;
            text(format!(
                "User response: action={}, content={}",
                answer["action"].as_str().unwrap_or_default(),
                answer["content"]
            ))
        }
        "test_elicitation_sep1034_defaults" => {
            let properties = json!({
                "name": {"type": "string", "default": "John Doe"},
                "age": {"type": "integer", "default": 30},
                "score": {"type": "number", "default": 95.5},
                "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
                "verified": {"type": "boolean", "default": true},
            });
            done(&elicited(peer, "Please accept the defaults", properties, Value::Null).await?)
        }
        "test_elicitation_sep1330_enums" => {
            done(&elicited(peer, "Please choose", enums(), Value::Null).await?)
        }
        _ => return Err(ErrorData::invalid_params(format!("unknown tool {name:?}"), None)),
    }])
}

fn enums() -> Value {
    let titled = |last: &str| {
        let option =
            |(value, title): (&str, &str)| json!({"const": value, "title": format!("{title} {last}")});
        Value::from_iter([("value1", "First"), ("value2", "Second"), ("value3", "Third")].map(option))
    };
    json!({
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": titled("Option")},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("Choice")}},
    })
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> InitializeResult {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_prompts()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .build();
        InitializeResult::new(capabilities)
    }

    async fn list_tools(&self, _: Page, _: Context) -> Result<ListToolsResult, ErrorData> {
        let tool = |(name, input)| Tool::new(name, format!("The suite's {name}"), schema(input));
        Ok(ListToolsResult::with_all_items(tool_schemas().into_iter().map(tool).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name == "test_error_handling" {
            let why = text("This tool intentionally returns an error for testing");
            return Ok(CallToolResult::error(vec![why]).into());
        }
        let content = call(&request.name, &request.arguments.unwrap_or_default(), &context).await?;
        Ok(CallToolResult::success(content).into())
    }

    async fn list_resources(&self, _: Page, _: Context) -> Result<ListResourcesResult, ErrorData> {
        let resource = |name: &str| {
            Resource::new(format!("test://{name}"), name).with_description(format!("The suite's {name}"))
        };
        let all = ["static-text", "static-binary", "watched-resource"].map(resource);
        Ok(ListResourcesResult::with_all_items(all.into()))
    }

    async fn list_resource_templates(
        &self,
        _: Page,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template =
            ResourceTemplate::new("test://template/{id}/data", "template").with_mime_type("application/json");
        Ok(ListResourceTemplatesResult::with_all_items(vec![template]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let contents = match (uri, id) {
            ("test://static-text", _) => {
                ResourceContents::text("This is the content of the static text resource.", uri)
                    .with_mime_type("text/plain")
            }
            ("test://static-binary", _) => ResourceContents::blob(PNG, uri).with_mime_type("image/png"),
            ("test://watched-resource", _) => {
                ResourceContents::text("Watched", uri).with_mime_type("text/plain")
            }
            (_, Some(id)) => {
                let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
                ResourceContents::text(data.to_string(), uri).with_mime_type("application/json")
            }
            _ => return Err(ErrorData::resource_not_found(format!("no resource {uri}"), None)),
        };
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn subscribe(&self, _: SubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(&self, _: UnsubscribeRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn list_prompts(&self, _: Page, _: Context) -> Result<ListPromptsResult, ErrorData> {
        let prompt = |(name, arguments): (&str, &[&str])| {
            let argument =
                |name: &&str| PromptArgument::new(*name).with_description(*name).with_required(true);
            let arguments = (!arguments.is_empty()).then(|| arguments.iter().map(argument).collect());
            Prompt::new(name, Some(format!("The suite's {name}")), arguments)
        };
        let all: [(&str, &[&str]); 4] = [
            ("test_simple_prompt", &[]),
            ("test_prompt_with_arguments", &["arg1", "arg2"]),
            ("test_prompt_with_embedded_resource", &["resourceUri"]),
            ("test_prompt_with_image", &[]),
        ];
        Ok(ListPromptsResult::with_all_items(all.into_iter().map(prompt).collect()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let given = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        let said = match request.name.as_str() {
            "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
            "test_prompt_with_arguments" => {
                vec![text(format!(
                    "Prompt with arguments: arg1='{}', arg2='{}'",
                    given("arg1"),
                    given("arg2")
                ))]
            }
            "test_prompt_with_embedded_resource" => vec![
                embedded(given("resourceUri"), "text/plain", "Embedded resource content for testing."),
                text("Please process the embedded resource above."),
            ],
            "test_prompt_with_image" => {
                vec![ContentBlock::image(PNG, "image/png"), text("Please analyze the image above.")]
            }
            name => return Err(ErrorData::invalid_params(format!("unknown prompt {name:?}"), None)),
        };
        let messages = said.into_iter().map(|content| PromptMessage::new(Role::User, content)).collect();
        Ok(GetPromptResult::new(messages).into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: Context,
    ) -> Result<CompleteResult, ErrorData> {
        let words = ["paris", "park", "party"];
        let fitting =
            words.into_iter().filter(|word| word.starts_with(&request.argument.value)).map(str::to_owned);
        Ok(CompleteResult::new(CompletionInfo::new(fitting.collect()).unwrap()))
    }

    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }
}
