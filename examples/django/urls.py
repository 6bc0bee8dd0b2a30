# The views and routes of the example; run it with manage.py beside this file.
import json
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

ITEMS = {1: "shoe", 2: "hat"}


def get_user(request: HttpRequest) -> str | None:
    return request.headers.get("X-User")


def items(request: HttpRequest) -> JsonResponse:
    return JsonResponse([{"id": number, "name": name} for number, name in ITEMS.items()], safe=False)


async def item(request: HttpRequest, number: int) -> JsonResponse:
    if number not in ITEMS:
        return JsonResponse({"error": "no such item"}, status=404)
    return JsonResponse({"id": number, "name": ITEMS[number]})


@csrf_exempt
def order(request: HttpRequest) -> Any:
    return JsonResponse({"ordered": json.loads(request.body)["items"]}, status=201)


urlpatterns = [path("items", items), path("items/<int:number>", item), path("orders", order)]
